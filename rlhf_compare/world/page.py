"""The oracle's page: the answer first, then a table for each question."""

from collections.abc import Sequence
from typing import Any

from rlhf_compare.world.displacement_page import displacement
from rlhf_compare.world.names import DPO_NAME, PPO_NAME
from rlhf_compare.world.words import count, listed, spread, table

GAP = 0.05  # of J(pi*) - J(reference); a method within it counts as having reached the optimum

World = dict[str, Any]


def first_sentence(answers: dict[str, Any]) -> str:
    """The answer in plain words, made from the numbers."""
    worlds = answers["worlds"]
    gaps = {name: _worst(worlds, name) for name in (PPO_NAME, DPO_NAME)}
    reached = [name.upper() for name, gap in gaps.items() if gap <= GAP]
    found = {
        2: f"PPO and DPO both reach the exact optimum to within {GAP:.0%}",
        1: f"{''.join(reached)} alone reaches the exact optimum to within {GAP:.0%}",
        0: f"Neither PPO nor DPO reaches the exact optimum to within {GAP:.0%}",
    }[len(reached)]
    return (
        f"{found} where pairs show every response and labels follow Bradley-Terry: of the way from "
        f"the reference to the optimum at most {gaps['ppo']:.1%} is left to PPO and "
        f"{gaps['dpo']:.1%} to DPO, over {count(len(worlds), 'world')}."
    )


def page(answers: dict[str, Any], figures: Sequence[str]) -> str:
    """Markdown; ``figures`` are SVG files beside it."""
    worlds = answers["worlds"]
    parts = [
        "# The oracle: PPO and DPO against the exact optimum",
        first_sentence(answers),
        _setting(answers),
        *_equivalence(worlds, answers),
        *_drift(worlds),
        *_coverage(worlds, answers),
        *_best_of_n(worlds),
        *displacement(worlds),
    ]
    text = "\n\n".join(parts) + "\n"
    assert all(f"({name}.svg)" in text for name in figures), "a figure that no section shows"
    return text


def _setting(answers: dict[str, Any]) -> str:
    reward = answers["reward"]
    return (
        f"World: {answers['prompts']} prompts with {answers['responses']} responses each, all "
        f"listed; gold reward from {reward['lowest']:g} to {reward['highest']:g}, β "
        f"{answers['beta']:g}. A world's seed draws the reference, the labels and the samples. "
        f"Settings were chosen on worlds {listed(answers['tuning_seeds'])}; these numbers are of "
        f"{listed(answers['seeds'])}. Expectations, KL and Z are sums over all responses, in nats "
        "per response. How to read it: [docs/oracle.md](../../docs/oracle.md). Every number: "
        "[oracle.json](oracle.json)."
    )


def _equivalence(worlds: list[World], answers: dict[str, Any]) -> list[str]:
    rows = []
    for world in worlds:
        for name, label in _POLICIES.items():
            found = world["equivalence"][name]
            implied = found.get("implied_reward")
            fit = ("correlation", "root_mean_square_error", "largest_error")
            rows.append(
                [
                    world["seed"],
                    label,
                    *(f"{found[key]:.3f}" for key in ("reward", "kl_to_reference")),
                    *(f"{found[key]:.4f}" for key in ("objective", "kl_to_optimum")),
                    f"{found['gap']:.1%}",
                    *(f"{implied[key]:.3f}" if implied else "" for key in fit),
                ]
            )
    head = ["world", "policy", "E r", "KL to ref", "J", "KL to π*", "gap", "corr", "rms error"]
    pairs = answers["settings"][DPO_NAME]
    drawn = pairs["per_device_train_batch_size"] * pairs["max_steps"]
    return [
        "## 1. A reward model and an optimal policy are equivalent",
        "PPO on the gold reward; DPO on labels drawn from Bradley-Terry on the gold reward, "
        f"{drawn:,} pairs, each used once, of all responses. gap = (J(π*) - J(π)) / (J(π*) - "
        "J(reference)). The last three columns hold the reward that the policy implies, "
        "β log(π/π_ref) + β log Z, against the gold reward, over all prompts and responses.",
        table([*head, "largest error"], rows),
    ]


_POLICIES = {"reference": "reference", "optimum": "π*, exact", PPO_NAME: "PPO", DPO_NAME: "DPO"}


def _drift(worlds: list[World]) -> list[str]:
    rows, scales = [], worlds[0]["drift"]["loss_by_scale"]
    for world in worlds:
        drift = world["drift"]
        for name, label in _PATHS.items():
            points = drift["paths"][name]
            chosen = [points[1], points[len(points) // 4], points[len(points) // 2], points[-1]]
            cells = [f"{p['kl']:.2f} / {p['spread']:.1f}" for p in chosen]
            ends = [drift["optimum_kl"], drift["highest_kl"]]
            rows.append([world["seed"], label, *cells, *(f"{end:.2f}" for end in ends)])
    grown = [
        _last(w, "deterministic", "spread") / _half(w, "deterministic", "spread") for w in worlds
    ]
    kept = [_last(w, PPO_NAME, "spread") / _half(w, PPO_NAME, "spread") for w in worlds]
    return [
        "## 2. Labels that never err leave DPO's loss without a minimum",
        "The better response always wins. From the middle of training to its end the spread of "
        f"DPO's log-ratios grows by a factor of {spread(grown)}, PPO's by {spread(kept)}. Each "
        "cell: KL to the reference / spread of log(π/π_ref) (largest less smallest), in nats, at "
        "the first look, a quarter, a half and the end of training. In a finite world the KL ends "
        "near that of the policy that says the best responses alone, or above it where one of "
        "several equally good ones is left; the log-ratios have no such limit.",
        table(["world", "policy", "first", "1/4", "1/2", "end", "KL of π*", "of the best"], rows),
        "![KL and spread of the log-ratios against training](drift.svg)",
        "The cause, without a trainer: DPO's loss of the policy whose implied reward is the gold "
        "reward times a scale (its KL is that of the first world). Scale 1 is π*.",
        table(
            ["scale", "KL", "loss, drawn labels", "loss, deterministic labels"],
            [
                [
                    f"{r['scale']:g}",
                    f"{r['kl']:.3f}",
                    f"{r['drawn']:.4f}",
                    f"{r['deterministic']:.4g}",
                ]
                for r in scales
            ],
        ),
    ]


_PATHS = {
    PPO_NAME: "PPO",
    DPO_NAME: "DPO, drawn labels",
    "deterministic": "DPO, deterministic labels",
}


def _coverage(worlds: list[World], answers: dict[str, Any]) -> list[str]:
    rows = []
    for world in worlds:
        found = world["coverage"]
        masses = [f"{found[name]['mass']:.3f}" for name in _POLICIES]
        lifted = [f"{found[name]['lifted']:.0%}" for name in (PPO_NAME, DPO_NAME)]
        lift = [f"{found[name]['largest_lift']:.2f}" for name in (PPO_NAME, DPO_NAME)]
        rows.append([world["seed"], *masses, *lifted, *lift])
    more = sum(w["coverage"][DPO_NAME]["mass"] > w["coverage"]["reference"]["mass"] for w in worlds)
    return [
        "## 3. Responses that no pair shows",
        f"Pairs show the {answers['shown']} best of {answers['responses']} responses; labels are "
        "drawn. The optimum takes mass from the others. PPO, which samples and asks the gold "
        f"reward, does so too; DPO leaves them more mass than they had in {more} of "
        f"{count(len(worlds), 'world')}. lifted = share of the unseen responses that became more "
        "likely, of those that π* makes less likely; largest = largest π/π_ref among the same.",
        table(
            [
                *("world", "before", "π*", "PPO", "DPO"),
                *("lifted, PPO", "lifted, DPO", "largest, PPO", "largest, DPO"),
            ],
            rows,
        ),
        "PPO is given the gold reward here, also of responses that no pair shows. A reward model "
        "learnt from the same pairs has to guess those.",
        "![Mass on responses that no pair shows](coverage.svg)",
    ]


def _best_of_n(worlds: list[World]) -> list[str]:
    rows = [
        [world["seed"], row["n"], *(f"{round(row[key], 3) + 0.0:.3f}" for key in _OF_BEST)]
        for world in worlds
        for row in world["best_of_n"]
    ]
    return [
        "## 4. Best of n on its curve",
        "Exact KL and reward of the best of n samples, the bound log n - (n - 1)/n, and the reward "
        "of the optimum at the same KL, which no policy exceeds. Equal rewards keep the exact KL "
        "below the bound.",
        table(["world", "n", "KL", "bound", "E r", "E r of the optimum at this KL"], rows),
        "![Reward against KL](frontier.svg)",
    ]


_OF_BEST = ("kl", "bound", "reward", "frontier_reward")


def _worst(worlds: list[World], name: str) -> float:
    return max(float(world["equivalence"][name]["gap"]) for world in worlds)


def _last(world: World, name: str, key: str) -> float:
    return float(world["drift"]["paths"][name][-1][key])


def _half(world: World, name: str, key: str) -> float:
    points = world["drift"]["paths"][name]
    return float(points[len(points) // 2][key])
