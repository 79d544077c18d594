"""Means with 95 % intervals, and differences between methods.

Every estimate is ``{"mean", "low", "high", "n", "units", "seeds", "by_seed"}``: n prompts, in
``units`` that were drawn independently (topics where rows name one, else the prompts), the mean of
each seed in the order of the seeds. A difference holds ``p_value`` too, two-sided and unadjusted.

With one seed an interval covers the choice of prompts and says nothing of other seeds. With one
unit there is none: ``low`` and ``high`` are None, and there is no difference.
"""

from typing import Any

import numpy as np
from scipy.stats import norm

from rlhf_compare.evaluation.random_effects import Array, spread, units_of
from rlhf_compare.evaluation.shares import share_difference_interval, share_interval


def estimate(
    values: Array | None, topics: Array | None = None, share: bool = False
) -> dict[str, Any] | None:
    """Mean of a (seeds, prompts) matrix; None stays None: it was not measured.

    Args:
        topics: (prompts,) whole numbers; see :func:`random_effects.spread`.
        share: the values are shares of answers, in [0, 1].
    """
    if values is None or values.size == 0:
        return None
    found, mean = spread(values, topics), np.asarray(values.mean())
    if share:
        low, high = share_interval(mean, found)
    else:
        low, high = mean - found.half_width(), mean + found.half_width()
    return _entry(mean, low, high, values.mean(axis=1), values, found.n_units)


def difference(
    first: Array | None, second: Array | None, topics: Array | None = None, share: bool = False
) -> dict[str, Any] | None:
    """Paired difference of two means over the same seeds and prompts, first less second.

    Returns:
        None where one was not measured or their shapes differ.
    """
    if first is None or second is None or first.shape != second.shape or first.size == 0:
        return None
    values = first - second
    if units_of(values, topics) == 1:
        return None
    found, mean = spread(values, topics), np.asarray(values.mean())
    half = found.half_width()
    low, high, p_value = mean - half, mean + half, found.p_value(float(mean))
    if share:
        more, less = np.maximum(values, 0.0).mean(), np.maximum(-values, 0.0).mean()
        low, high, z = share_difference_interval(more, less, found)
        p_value = float(2 * norm.sf(abs(z)))
    entry = _entry(mean, low, high, values.mean(axis=1), values, found.n_units)
    return {**entry, "p_value": p_value}


def ratio_estimate(
    numerator: Array | None, denominator: Array | None, topics: Array | None = None
) -> dict[str, Any] | None:
    """Ratio of two means over the same seeds and prompts, by the delta method.

    Returns:
        None where one was not measured, or where the data do not tell the denominator from 0: then
        no bounded interval covers the ratio (Fieller 1954).
    """
    if numerator is None or denominator is None or not _is_not_zero(denominator, topics):
        return None
    found = spread(_linear(numerator, denominator), topics)
    ratio, half = np.asarray(numerator.mean() / denominator.mean()), found.half_width()
    by_seed = _ratios(numerator, denominator)
    return _entry(ratio, ratio - half, ratio + half, by_seed, numerator, found.n_units)


def ratio_difference(
    first: tuple[Array | None, Array | None],
    second: tuple[Array | None, Array | None],
    topics: Array | None = None,
) -> dict[str, Any] | None:
    """One ratio of means less another, over the same seeds and prompts.

    Args:
        first, second: (numerator, denominator), all of one shape (seeds, prompts).

    Returns:
        None where a part was not measured, shapes differ, or a denominator may be 0.
    """
    parts = [part for part in (*first, *second) if part is not None]
    if len(parts) < 4 or len({part.shape for part in parts}) > 1 or parts[0].size == 0:
        return None
    above, below, other_above, other_below = parts
    if not (_is_not_zero(below, topics) and _is_not_zero(other_below, topics)):
        return None
    found = spread(_linear(above, below) - _linear(other_above, other_below), topics)
    mean = np.asarray(above.mean() / below.mean() - other_above.mean() / other_below.mean())
    by_seed = _ratios(above, below) - _ratios(other_above, other_below)
    half = found.half_width()
    entry = _entry(mean, mean - half, mean + half, by_seed, above, found.n_units)
    return {**entry, "p_value": found.p_value(float(mean))}


def _linear(numerator: Array, denominator: Array) -> Array:
    """First-order effect of each seed and prompt on the ratio of the means: (seeds, prompts)."""
    ratio = numerator.mean() / denominator.mean()
    return np.asarray((numerator - ratio * denominator) / denominator.mean())


def _ratios(numerator: Array, denominator: Array) -> Array:
    """The ratio of each seed; NaN where its denominator is 0."""
    below = denominator.mean(axis=1)
    return np.asarray(numerator.mean(axis=1) / np.where(below == 0.0, np.nan, below))


def _is_not_zero(values: Array, topics: Array | None) -> bool:
    if values.size == 0 or units_of(values, topics) == 1:
        return False
    distance = float(abs(values.mean()))
    return bool(distance > max(1e-9, float(spread(values, topics).half_width())))


def _entry(
    mean: Array, low: Array, high: Array, by_seed: Array, values: Array, units: int
) -> dict[str, Any]:
    seeds, prompts = values.shape
    return {
        "mean": float(mean),
        "low": float(low) if units > 1 else None,
        "high": float(high) if units > 1 else None,
        "n": int(prompts),
        "units": int(units),
        "seeds": int(seeds),
        "by_seed": [float(one) if np.isfinite(one) else None for one in by_seed],
    }
