"""``frontier.json``: every point, the yardsticks, and what the curves say."""

import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from rlhf_compare.evaluation.measure import Measurement
from rlhf_compare.finished import Finished
from rlhf_compare.frontier.curves import Curve, compare_curves
from rlhf_compare.frontier.over_optimisation import over_optimisation
from rlhf_compare.frontier.yardsticks import best_of_n, optimum, reward_gap
from rlhf_compare.reporting.method_schema import Estimate
from rlhf_compare.reporting.results import load, parse
from rlhf_compare.reporting.schema_types import Count, DottedPath, Name, Part, Seconds, Text
from rlhf_compare.reward.stage import read_diagnosis
from rlhf_compare.sweeps.grid import Setting
from rlhf_compare.sweeps.points import (
    Origin,
    Point,
    measurements,
    metrics_of,
    origin_of,
    points_of,
    shared_seconds,
)

VALUES = ("adoption.exact", "reward.held_out")  # what a frontier is drawn in


class BestOfN(Part):
    """Computed from p0; see :func:`yardsticks.best_of_n`."""

    n: Count
    adoption: float
    kl_bound: float


class Optimum(Part):
    """Predicted for one value of a method's knob; see :func:`yardsticks.optimum`."""

    method: Name
    beta: float
    adoption: float
    kl: float


class OverOptimisation(Part):
    """See :func:`over_optimisation.over_optimisation`."""

    verdict: Literal["onset", "both fall", "none", "undecided"]
    seeds: list[Count]
    peak: float
    peaks: list[float | None]
    peak_interval: list[float] | None
    fall: Estimate | None
    rise: Estimate | None
    p_value: float | None
    reach: float


class Place(Part):
    """The difference of two curves at one KL."""

    kl: float
    mean: float
    interval: list[float] | None


class Pair(Part):
    """Two methods' frontiers in one value; see :func:`curves.compare_curves`."""

    value: DottedPath
    a: Name
    b: Name
    low: float
    high: float
    seeds: list[Count]
    by_seed: list[float]
    mean: float
    interval: list[float] | None
    places: list[Place]


class Probed(Part):
    """What the probe saw while the recipe's own setting trained, of one seed: KL and adoption."""

    method: Name
    seed: Count
    kl: list[float]
    adoption: list[float]


class Frontier(Part):
    """The whole sweep.

    labels      method -> what the report calls its column
    knobs       method -> the field that is turned
    own         method -> the recipe's own value of it
    sft         what all start from, by metric
    reward_gap  of each seed's reward model, which methods with a reward are trained against
    """

    schema_version: Literal[1]
    recipe: Name
    origin: Origin
    behaviour: bool
    labels: dict[Name, Text]
    knobs: dict[Name, Text]
    own: dict[Name, Any]
    sft: dict[DottedPath, Estimate | None]
    shared: dict[Name, Seconds]
    points: list[Point]
    yardstick: list[BestOfN]
    reward_gap: list[float]
    optimum: list[Optimum]
    over_optimisation: dict[Name, OverOptimisation]
    pairs: list[Pair]
    training: list[Probed]
    reasons: dict[Name, Text]

    def label(self, method: str) -> str:
        """What the report calls a method's column."""
        return self.labels[method]

    def of(self, method: str) -> list[Point]:
        """The settings of one method, from the least to the largest KL; unmeasured ones last."""
        points = [point for point in self.points if point.method == method]
        return sorted(points, key=lambda point: float("inf") if point.kl is None else point.kl)


def collect_frontier(
    finished: Finished,
    settings: Sequence[Setting],
    knobs: Mapping[str, str],
    seeds: Sequence[int],
    command: str,
) -> Frontier:
    """Read the finished stages and draw the conclusions.

    Args:
        knobs: method -> the field that is turned.

    Raises:
        ResultsError: a number that was measured breaks the contract.
    """
    recipe = finished.recipe
    measured = measurements(finished)
    points = points_of(finished, settings, measured)
    behaviour = recipe.task.behaviour is not None
    base_rates = _base_rates(measured["sft"]) if behaviour else []
    gaps = _reward_gaps(finished, seeds)
    against_reward = [name for name in knobs if "reward" in recipe.path(name)]
    found = {name: over_optimisation(_runs(points, measured, name)) for name in knobs}
    return parse(
        Frontier,
        {
            "schema_version": 1,
            "recipe": recipe.name,
            "origin": origin_of(finished, command, seeds),
            "behaviour": behaviour,
            "labels": {name: recipe.label(name) for name in knobs},
            "knobs": dict(knobs),
            "own": {name: recipe.section(name).value(field) for name, field in knobs.items()},
            "sft": metrics_of(list(measured["sft"].values()), one_run=True),
            "shared": shared_seconds(finished, seeds),
            "points": points,
            "yardstick": best_of_n(base_rates) if base_rates else [],
            "reward_gap": gaps,
            "optimum": [
                {"method": p.method, **optimum(base_rates, sum(gaps) / len(gaps), value)}
                for p in points
                if p.method in against_reward and base_rates and gaps
                for value in [p.values[knobs[p.method]]]
                if knobs[p.method] in ("kl_coef", "beta") and value > 0
            ],
            "over_optimisation": {name: one for name, one in found.items() if one is not None},
            "pairs": pairs_of(points),
            "training": [one for name in knobs for one in _probed(finished, name)],
            "reasons": {
                name: why for name, why in finished.reasons.items() if name in finished.failed
            },
        },
    )


def pairs_of(points: Sequence[Point]) -> list[dict[str, Any]]:
    """Every two methods in every value that both have; settings with a failed or collapsed seed
    are on no curve."""
    methods = list(dict.fromkeys(point.method for point in points))
    found = []
    for value in VALUES:
        curves = {method: _curves(points, method, value) for method in methods}
        for a, b in combinations(methods, 2):
            compared = compare_curves(curves[a], curves[b])
            if compared is not None:
                found.append({"value": value, "a": a, "b": b, **compared})
    return found


def _curves(points: Sequence[Point], method: str, path: str) -> dict[int, Curve]:
    """Seed -> (KL, value) of each sound setting."""
    curves: dict[int, list[tuple[float, float]]] = {}
    for point in points:
        drift, value = point.metrics.get("kl_to_reference.exact"), point.metrics.get(path)
        if point.method != method or not point.sound or drift is None or value is None:
            continue
        for seed, kl, reached in zip(point.seeds, drift.by_seed, value.by_seed, strict=True):
            if kl is not None and reached is not None:
                curves.setdefault(seed, []).append((kl, reached))
    return dict(curves)


def _runs(
    points: Sequence[Point], measured: Mapping[str, Mapping[int, Measurement]], method: str
) -> list[Mapping[int, Measurement]]:
    return [measured[point.name] for point in points if point.method == method and point.sound]


def _base_rates(sft: Mapping[int, Measurement]) -> list[float]:
    """p0 of every prompt: exact adoption of SFT, which no seed changes."""
    of_prompts = next(iter(sft.values())).per_prompt["adoption.exact"]
    return [value for value in of_prompts if value is not None]


def _reward_gaps(finished: Finished, seeds: Sequence[int]) -> list[float]:
    stages = [finished.stages.get(f"reward-{seed}") for seed in seeds]
    gaps = [reward_gap(read_diagnosis(one.directory).by_margin) for one in stages if one]
    return [gap for gap in gaps if gap is not None]


def _probed(finished: Finished, name: str) -> list[dict[str, Any]]:
    """The probes of the recipe's own setting."""
    found = []
    for seed in finished.evaluations.get(name, {}):
        log = finished.stages[f"{name}-{seed}"].directory.path / "metrics.jsonl"
        lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
        rows = [json.loads(line) for line in lines]
        seen = [row for row in rows if "eval_kl_exact" in row and "eval_adoption_exact" in row]
        if seen:
            kl, adoption = ([row[key] for row in seen] for key in _PROBES)
            found.append({"method": name, "seed": seed, "kl": kl, "adoption": adoption})
    return found


_PROBES = ("eval_kl_exact", "eval_adoption_exact")


def load_frontier(path: Path) -> Frontier:
    """Read and check a ``frontier.json``.

    Raises:
        ResultsError: it is missing or breaks the contract.
    """
    return load(Frontier, path, "run `rlhf-compare frontier` first")
