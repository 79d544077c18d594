"""The page's section on what plain DPO does with the mass that it takes; every sentence holds only
where the numbers say so."""

from collections.abc import Iterable
from itertools import pairwise
from statistics import fmean
from typing import Any

from rlhf_compare.theory import binary_kl
from rlhf_compare.world.displacement import TABLE
from rlhf_compare.world.names import DPO_NAME, PPO_NAME
from rlhf_compare.world.words import count, spread, table

LEARNT = 0.01  # DPO's loss: below it the pairs have little left to teach
ADOPTED = 0.9
_SHORT = 0.05  # of adoption below what the same KL could buy, to be called short of it

Run = dict[str, Any]
World = dict[str, Any]


def displacement(worlds: list[World]) -> list[str]:
    """The section's paragraphs."""
    found = [world["displacement"] for world in worlds]
    return [
        "## 5. What plain DPO does with the mass that it takes",
        "A world of the prefix task: the chosen response is a marker and the answer, the rejected "
        "one the answer alone, one pair a prompt, labels that never err. adoption = mass of all "
        "responses that open with the marker, of which chosen is shown by a pair; elsewhere = mass "
        "of responses without the marker that no pair shows; at this KL = the most adoption that "
        "any policy has for the same KL; log-ratios are log(π/π_ref), in nats. Means over the "
        "worlds and their prompts. The network is the world's transformer under the product's DPO; "
        "the table has one logit for every prompt, prefix and token, so that no two contexts share "
        "a weight.",
        table(_HEAD, _rows(found)),
        _short(found),
        _price(found),
        _by_forgetting(found),
        _forgetful(found),
        "![Adoption against KL where labels never err](displacement.svg)",
    ]


_HEAD = (
    *("policy", "learning rate", "β", "loss", "KL", "adoption", "at this KL", "chosen", "rejected"),
    *("elsewhere", "log-ratio, chosen", "log-ratio, rejected"),
)
_KIND = {DPO_NAME: "network, DPO", TABLE: "table, DPO"}
_NOUNS = {DPO_NAME: "DPO's network", TABLE: "DPO's table"}


def _rows(worlds: list[World]) -> Iterable[list[str]]:
    yield ["reference", "", "", "", *_cells([world["reference"] for world in worlds])]
    beta = worlds[0][PPO_NAME]["beta"]
    yield ["network, PPO", "", f"{beta:g}", "", *_cells([world[PPO_NAME] for world in worlds])]
    for setting in range(len(worlds[0]["runs"])):
        runs = [world["runs"][setting] for world in worlds]
        first = runs[0]
        named = [_KIND[first["policy"]], f"{first['learning_rate']:g}", f"{first['beta']:g}"]
        yield [*named, f"{fmean(run['loss'] for run in runs):.4f}", *_cells(runs)]


def _cells(runs: list[Run]) -> list[str]:
    masses = ("adoption", "possible", "chosen", "rejected", "elsewhere")
    return [
        f"{_mean(runs, 'kl'):.2f}",
        *(f"{_mean(runs, name):.3f}" for name in masses),
        *(f"{_mean(runs, f'logratio_{side}'):.1f}" for side in ("chosen", "rejected")),
    ]


def _mean(runs: list[Run], name: str) -> float:
    return fmean(run[name] for run in runs) + 0.0  # no -0.0


def _short(worlds: list[World]) -> str:
    """Runs that know every pair and adopt less than their KL could buy."""
    runs = [run for world in worlds for run in world["runs"]]
    learnt = [run for run in runs if run["loss"] < LEARNT]
    low = [run for run in learnt if run["adoption"] < ADOPTED]
    short = [run for run in low if run["possible"] - run["adoption"] > _SHORT]
    known = f"{len(learnt)} of {count(len(runs), 'run')} have a loss under {LEARNT:g}"
    if not short:
        return (
            f"{known}, and none of these adopts less than {ADOPTED:g} while its KL could buy "
            f"{_SHORT:g} more: this world does not show plain DPO falling short."
        )
    return (
        f"{known}: their pairs have little left to teach. {len(short)} of these adopt less than "
        f"{ADOPTED:g} and fall short of what their KL could buy by "
        f"{spread([run['possible'] - run['adoption'] for run in short])}; "
        f"{spread([run['elsewhere'] for run in short])} of their mass stays on responses that "
        f"no pair shows, {spread([run['rejected'] for run in short])} on the rejected ones."
    )


def _price(worlds: list[World]) -> str:
    """What an adoption of 0.9 cost where it was reached, against the least that it can cost."""
    parts, prices = [], {}
    for policy, words in _NOUNS.items():
        ratios = [_ratio(world, policy) for world in worlds]
        reached = [ratio for ratio in ratios if ratio is not None]
        if not reached:
            parts.append(f"{words} reaches it under no setting")
            continue
        prices[policy] = min(reached), max(reached)
        where = "" if len(reached) == len(ratios) else f" (in {count(len(reached), 'world')})"
        parts.append(f"{words} takes {spread(reached)} times the least{where}")
    ppo = [
        world[PPO_NAME]["kl"] / _least(world, world[PPO_NAME])
        for world in worlds
        if world[PPO_NAME]["adoption"] >= ADOPTED
    ]
    if ppo:
        where = "" if len(ppo) == len(worlds) else f" (in {count(len(ppo), 'world')})"
        parts.append(f"PPO takes {spread(ppo)} times{where}")
    text = (
        f"An adoption of {ADOPTED:g} or more, with the setting that pays least for it in KL: "
        f"{'; '.join(parts)}. The least is that of the optimum with the same adoption."
    )
    if len(prices) == len(_KIND) and prices[TABLE][0] > 1 + _SHORT:
        text += (
            " The table shares no weight between contexts and pays too, so the price comes with "
            "the loss and not with the network alone."
        )
    return text


def _ratio(world: World, policy: str) -> float | None:
    runs = [r for r in world["runs"] if r["policy"] == policy and r["adoption"] >= ADOPTED]
    return min((run["kl"] / _least(world, run) for run in runs), default=None)


def _least(world: World, run: Run) -> float:
    """KL of the optimum with a run's adoption, from the world's frontier; beyond its last point the
    bound at the mean base rate, which is no more."""
    curve = sorted((p["reward"], p["kl"]) for p in world["frontier"])
    for (a, low), (b, high) in pairwise(curve):
        if a <= run["adoption"] <= b:
            return float(low + (high - low) * (run["adoption"] - a) / (b - a))
    return binary_kl(run["adoption"], world["reference"]["adoption"])


def _by_forgetting(worlds: list[World]) -> str:
    """Whose log-ratio made the margin."""
    runs = [r for world in worlds for r in world["runs"] if r["policy"] == DPO_NAME]
    fell = [run for run in runs if -run["logratio_rejected"] > abs(run["logratio_chosen"])]
    return (
        f"In {len(fell)} of {count(len(runs), 'run')} of the network more of the margin came from "
        "the rejected response falling than from the chosen one rising. The chosen one cannot rise "
        "beyond probability 1; how far the rejected one may fall has no limit, and the loss counts "
        "both alike."
    )


def _forgetful(worlds: list[World]) -> str:
    """The policy that only forgets, without a trainer."""
    adoption = {
        name: _digits([world[name]["adoption"] for world in worlds])
        for name in ("reference", "forgetful")
    }
    loss = max(world["forgetful"]["loss"] for world in worlds)
    return (
        "Without a trainer: take from the reference its rejected responses and give their mass to "
        "all others in proportion. At β 1 the loss of this policy is "
        f"{loss:.1g} at most, and its adoption is {adoption['forgetful']}, where the "
        f"reference has {adoption['reference']}: a loss near 0 says that the rejected "
        "responses are gone, and not that the marker was learnt."
    )


def _digits(values: list[float]) -> str:
    low, high = f"{min(values):.4f}", f"{max(values):.4f}"
    return low if low == high else f"{low} to {high}"
