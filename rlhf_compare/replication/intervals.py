"""Intervals for the difference of two sets of runs that share no seed."""

import math
from collections.abc import Sequence
from statistics import variance

from scipy.stats import t as student_t

from rlhf_compare.reporting.method_schema import Estimate

LEAST_SEEDS = 3  # on each side


def welch(before: Sequence[float], fresh: Sequence[float]) -> tuple[float, float] | None:
    """Standard error of the difference of two means over independent seeds, and its degrees of
    freedom (Welch 1947); None where neither side has any spread.

    Both sides must be measured on the same prompts, whose luck is then in neither.

    Args:
        before, fresh: the mean of each seed, at least two a side.
    """
    parts = [(variance(values) / len(values), len(values)) for values in (before, fresh)]
    total = sum(part for part, _ in parts)
    if total == 0.0:
        return None
    return math.sqrt(total), total**2 / sum(part**2 / (n - 1) for part, n in parts)


def half_width(error: float, freedom: float) -> float:
    """Of the 95 % interval."""
    return float(student_t.isf(0.025, freedom) * error)


def p_value(distance: float, error: float, freedom: float) -> float:
    """Two-sided, of a difference this far from 0."""
    return float(2 * student_t.sf(abs(distance) / error, freedom))


def of_estimates(before: Estimate, fresh: Estimate) -> tuple[float, float] | None:
    """95 % interval of before - fresh from the two estimates' own intervals, which hold the luck of
    seeds and of prompts (Zou & Donner 2008, equation 3): for sides that share neither.

    Returns:
        None where one has no interval.
    """
    if before.interval is None or fresh.interval is None:
        return None
    (low, high), (other_low, other_high) = before.interval, fresh.interval
    distance = before.mean - fresh.mean
    return (
        distance - math.hypot(before.mean - low, other_high - fresh.mean),
        distance + math.hypot(high - before.mean, fresh.mean - other_low),
    )
