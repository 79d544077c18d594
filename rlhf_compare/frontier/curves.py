"""The frontier of a method as a curve, and two of them at the same drift.

A curve is the best value that any setting reached with at most that KL, linear between settings. It
is no wider than what was measured: nothing is said outside the range of both.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import t as student_t

from rlhf_compare.evaluation.verdicts import LEAST_SEEDS

STEPS = 25  # places at which two curves are compared
LEAST_RANGE = 0.01  # nats: a narrower one is rounding, and prints as one number
Curve = Sequence[tuple[float, float]]  # (KL in nats per response, value) of each setting, one seed


def best_at(curve: Curve, kls: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The best value at each KL; ``kls`` must lie in the curve's range."""
    ordered = np.array(sorted(curve))
    return np.asarray(np.interp(kls, ordered[:, 0], np.maximum.accumulate(ordered[:, 1])))


def compare_curves(
    first: Mapping[int, Curve], second: Mapping[int, Curve]
) -> dict[str, Any] | None:
    """First less second, over the KL that every curve of both has, under the seeds that both have.

    Returns:
        ``low``, ``high`` of the common range in nats, ``seeds``, ``by_seed`` (mean difference over
        the range), ``mean`` and ``interval`` of these (Student's t over seeds; None below three
        seeds), and ``places``: at each KL the mean difference, with an interval of its own.
        None where the ranges have less than ``LEAST_RANGE`` in common.
    """
    seeds = sorted(set(first) & set(second))
    curves = [side[seed] for side in (first, second) for seed in seeds]
    if not curves or any(len(curve) < 2 for curve in curves):
        return None
    low = max(min(kl for kl, _ in curve) for curve in curves)
    high = min(max(kl for kl, _ in curve) for curve in curves)
    if high - low < LEAST_RANGE:
        return None
    kls = np.linspace(low, high, STEPS)
    gaps = np.array([best_at(first[seed], kls) - best_at(second[seed], kls) for seed in seeds])
    by_seed = gaps.mean(axis=1)
    return {
        "low": float(low),
        "high": float(high),
        "seeds": seeds,
        "by_seed": by_seed.tolist(),
        "mean": float(by_seed.mean()),
        "interval": over_seeds(by_seed),
        "places": [
            {"kl": float(kl), "mean": float(column.mean()), "interval": over_seeds(column)}
            for kl, column in zip(kls, gaps.T, strict=True)
        ],
    }


def over_seeds(values: np.ndarray[Any, Any]) -> list[float] | None:
    """The 95 % interval of a mean over seeds (Student's t); None below three seeds."""
    if len(values) < LEAST_SEEDS:
        return None
    half = student_t.isf(0.025, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return [float(values.mean() - half), float(values.mean() + half)]


def won_ranges(places: Sequence[Mapping[str, Any]], sign: int) -> list[tuple[float, float]]:
    """Stretches of KL in which every place's own interval lies on one side of 0.

    Args:
        sign: 1 = the first curve is higher, -1 = the second.
    """
    found: list[tuple[float, float]] = []
    before = False
    for place in places:
        interval = place["interval"]
        won = interval is not None and min(sign * end for end in interval) > 0.0
        if won:
            start = found.pop()[0] if before else place["kl"]
            found.append((start, place["kl"]))
        before = won
    return found
