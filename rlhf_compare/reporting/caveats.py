"""What limits the page: computed from the same results, so that it cannot be left out."""

from collections.abc import Mapping
from typing import Literal

from rlhf_compare.reporting.applicable import left_out
from rlhf_compare.reporting.choice import choice_caveats
from rlhf_compare.reporting.comparisons import SFT, contenders, difference
from rlhf_compare.reporting.displaced import displaced
from rlhf_compare.reporting.doctor import overruled
from rlhf_compare.reporting.evidence import ADOPTION, DRIFT, base_rate
from rlhf_compare.reporting.held_equal import broken_texts, sampling_caveats
from rlhf_compare.reporting.judging import independence
from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.provenance_schema import Maker, StageCode
from rlhf_compare.reporting.recipe_facts import sft_is_given
from rlhf_compare.reporting.sanity import did_not_move, start_does_not_end
from rlhf_compare.reporting.schema import Results
from rlhf_compare.theory import binary_kl

Stages = Mapping[str, StageCode]
Kind = Literal["code", "versions"]


def caveats(results: Results) -> list[str]:
    """One plain sentence or two for each limit of these numbers."""
    return [
        *_seeds(results),
        *_failures(results),
        *_given(results),
        *_timing(results),
        *_provenance(results),
        *_code(results),
        *_settings(results),
        *choice_caveats(results),
        *broken_texts(results),
        *sampling_caveats(results),
        *start_does_not_end(results),
        *did_not_move(results),
        *displaced(results),
        *_failed_reward_model(results),
        *independence(results),
        *_over_optimised(results),
        *_efficiency_above_one(results),
        *_below_the_floor(results),
        *_unmeasured(results),
    ]


_ROUNDING = (
    "The same seed on another kind of processor is another run, because roundings grow. Each run's "
    "luck with the roundings of this machine is part of the spread over seeds; what a machine does "
    "to all seeds alike is in no interval and was not measured here (python -m "
    "benchmarks.rounding measures it; see docs/rounding.md)."
)


_ONE_START = (
    "One SFT model and one split of the rows lie under all of them: what another would give is in "
    "no interval."
)


def _seeds(results: Results) -> list[str]:
    seeds = results.provenance.seeds
    if len(seeds) == 1:
        return [
            f"One seed ({seeds[0]}): the intervals cover the choice of prompts and nothing else, "
            f"not training luck. Another seed may order the methods differently. {_ROUNDING}"
        ]
    listed = ", ".join(map(str, seeds))
    return [
        f"{len(seeds)} seeds ({listed}): the intervals hold the luck of "
        f"training, wide because so few runs tell little of it. {_ONE_START} {_ROUNDING}"
    ]


def _failures(results: Results) -> list[str]:
    notes = []
    for failure in results.failures:
        missing = failure.method not in results.methods
        notes.append(
            f"{label_of(results, failure.method)} failed under seed"
            f"{'s' if len(failure.seeds) > 1 else ''} {', '.join(map(str, failure.seeds))}"
            f"{' and is not in the tables' if missing else ''}: {failure.reason}"
        )
    return notes


def _given(results: Results) -> list[str]:
    """A start that others trained: what it cost, and what it has seen, is not known here."""
    if not sft_is_given(results):
        return []
    return [
        "The SFT model was given (sft.given): nothing was trained for it here. What its training "
        "took is in no cost, whose SFT is a load and a save, and what it was trained on is not "
        "known here: it may have seen prompts that are held out. Every method starts from it, so "
        "differences between methods stand."
    ]


def _timing(results: Results) -> list[str]:
    wall = results.provenance.device.clock == "wall"
    notes = [
        "Device seconds are wall-clock seconds here: whatever else the machine did is in them, and "
        "in the intervals of seconds at equal adoption, which are over seeds."
        if wall
        else "Device seconds are what these runs took; intervals of them are over seeds."
    ]
    lost = results.provenance.lost_to_interruptions
    if lost:
        listed = ", ".join(f"{label} {seconds:,.0f} s" for label, seconds in lost.items())
        notes.append(
            f"Work of {sum(lost.values()):,.0f} s was lost when processes were killed ({listed}): "
            "it was done again, and the costs hold it once."
        )
    for name, method in results.methods.items():
        spent = method.cost.device_seconds
        if spent is None or not spent.stages:
            continue
        stages = sum(stage.total for stage in spent.stages.values())
        if abs(stages - spent.path_total) > 0.01 * spent.path_total:
            notes.append(
                f"{label_of(results, name)}'s stages add up to {stages:,.1f} s, its path to "
                f"{spent.path_total:,.1f} s: some time is charged twice or not at all."
            )
    return notes


def _provenance(results: Results) -> list[str]:
    facts, notes = results.provenance, []
    if facts.commit is None and not facts.stages:
        notes.append("The commit was not recorded, so the code cannot be told from these results.")
    elif facts.commit is None:
        notes.append(
            "The commit was not recorded: the digests in results.json alone tell the code."
        )
    elif facts.dirty:
        notes.append("The tree had changed since its commit, which alone may not repeat this.")
    missing = facts.ledger.unaccounted
    if missing:
        notes.append(f"The ledger does not add up: {missing:,} rows are unaccounted for.")
    return notes


def _code(results: Results) -> list[str]:
    """Stages that were made by different code, or by other code than the present."""
    stages, notes = results.provenance.stages, []
    differing = _differing(stages, "code")
    if differing:
        notes.append(
            f"The stages were not all made by the same code ({', '.join(differing)} differ): "
            f"{_by_maker(stages, 'code', differing)}. A difference between methods may come from "
            "the code; --fresh makes every stage anew."
        )
    packages = _differing(stages, "versions")
    if packages:
        notes.append(
            f"The stages were not all made with the same libraries ({', '.join(packages)} "
            f"differ): {_by_maker(stages, 'versions', packages)}."
        )
    unknown = [label for label, stage in stages.items() if stage.code is None]
    other = [
        label
        for label, stage in stages.items()
        if stage.made_by_other_code and label not in unknown
    ]
    if other:
        notes.append(
            f"Made by other code than that which wrote these results: {', '.join(other)}. This "
            "code may give other numbers; --fresh runs these stages again."
        )
    if unknown:
        notes.append(f"What code made these stages was not recorded: {', '.join(unknown)}.")
    return notes


def _makers(stages: Stages) -> list[tuple[str, Maker]]:
    """Every process that had part in a stage, with the stage's label."""
    return [
        (label, maker) for label, stage in stages.items() for maker in (stage, *stage.continued_by)
    ]


def _states(maker: Maker, kind: Kind) -> Mapping[str, str]:
    """Of each part of the code, or of each library; empty where they were not recorded."""
    return (maker.code if kind == "code" else maker.versions) or {}


def _differing(stages: Stages, kind: Kind) -> list[str]:
    """Parts of the code, or libraries, of which the stages ran on more than one state."""
    states: dict[str, set[str]] = {}
    for _, maker in _makers(stages):
        for name, state in _states(maker, kind).items():
            states.setdefault(name, set()).add(state)
    return sorted(name for name, found in states.items() if len(found) > 1)


def _by_maker(stages: Stages, kind: Kind, names: list[str]) -> str:
    """``sft, dpo-0 by commit abc1234; ppo-0 by commit def5678 with changes``."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for label, maker in _makers(stages):
        states = _states(maker, kind)
        if not states.keys() & set(names):
            continue
        if kind == "versions":
            words = "with " + ", ".join(f"{name} {states.get(name)}" for name in names)
        else:
            commit = f"commit {maker.commit[:7]}" if maker.commit else "no commit"
            words = f"by {commit}{' with changes' if maker.dirty else ''}"
        state = (words, *(states.get(name, "") for name in names))
        groups.setdefault(state, []).append(label)
    return "; ".join(f"{', '.join(labels)} {state[0]}" for state, labels in groups.items())


def _settings(results: Results) -> list[str]:
    """What each method says of its own settings."""
    return [
        f"{label_of(results, name)} {sentence}"
        for name in contenders(results)
        for sentence in results.methods[name].caveats
    ]


def _failed_reward_model(results: Results) -> list[str]:
    found = overruled(results)
    return [f"{found} What those methods optimised may not be what was asked for."] if found else []


def _over_optimised(results: Results) -> list[str]:
    """Proxy reward up, the judge's down, both beyond noise: the proxy was fooled."""
    notes = []
    for name in contenders(results):
        proxy = difference(results, "reward.proxy", name, SFT)
        judged = difference(results, "reward.held_out", name, SFT)
        if proxy and judged and proxy.low > 0 > judged.high:
            notes.append(
                f"{label_of(results, name)} raised the proxy reward by {proxy.mean:.3g} while the "
                f"judge's fell by {-judged.mean:.3g}, both beyond their paired 95 % "
                "intervals: a sign of over-optimisation."
            )
    return notes


def _efficiency_above_one(results: Results) -> list[str]:
    notes = []
    for name in contenders(results):
        found = results.methods[name].estimate("kl_to_reference.efficiency")
        if found is not None and found.mean > 1.0:
            why = "its interval reaches below 1, so this may be sampling noise"
            if found.low is None or found.low > 1.0:
                why = "no interval reaches below 1, so a meter may be at fault"
            notes.append(
                f"{label_of(results, name)}'s efficiency of {found.mean:.3f} is above the bound of "
                f"1: {why}."
            )
    return notes


def _below_the_floor(results: Results) -> list[str]:
    """A whole interval of KL under the floor at the mean base rate: theory rules it out."""
    p0, notes = base_rate(results), []
    for name in contenders(results):
        rate = results.methods[name].value(ADOPTION)
        drift = results.methods[name].estimate(DRIFT)
        if p0 is None or rate is None or drift is None:
            continue
        least = binary_kl(min(rate, 1.0), min(p0, 1.0))  # single precision may pass 1 by a hair
        most = drift.mean if drift.high is None else drift.high
        if most < least:
            notes.append(
                f"{label_of(results, name)}'s KL of at most {most:.3g} nats is below the "
                f"{least:.3g} that its adoption requires: one of the two meters is wrong."
            )
    return notes


def _unmeasured(results: Results) -> list[str]:
    labels = [metric.label for metric in left_out(results)[0]]
    return [f"Not measured for any method: {'; '.join(labels)}."] if labels else []
