"""Means with 95 % intervals. Every estimate is ``{"mean", "low", "high", "n", "seeds"}``.

Prompts are resampled and, where there are several, seeds too: with one seed an interval covers
the choice of prompts and says nothing of training luck.
"""

from typing import Any

import numpy as np
from scipy.stats import binomtest

_RESAMPLES = 2000
_LEVELS = (2.5, 97.5)


def estimate(values: np.ndarray | None, share: bool = False) -> dict[str, Any] | None:
    """Mean of a (seeds, prompts) matrix; None stays None: it was not measured.

    Args:
        share: the values count yes and no. Where one seed holds nothing else, the interval is
            Wilson's (scipy), which does not shrink to nothing at 0 and 1 as a bootstrap would.
    """
    if values is None or values.size == 0:
        return None
    seeds, prompts = values.shape
    if share and seeds == 1 and bool(np.isin(values, (0.0, 1.0)).all()):
        yes = int(values.sum())
        interval = binomtest(yes, prompts).proportion_ci(0.95, method="wilson")
        return _entry(yes / prompts, interval.low, interval.high, values)
    return _with_bootstrap(values.mean(), _resampled_means(values), values)


def ratio_estimate(
    numerator: np.ndarray | None, denominator: np.ndarray | None
) -> dict[str, Any] | None:
    """Ratio of two means over the same prompts; None if unmeasured or the denominator is 0."""
    if numerator is None or denominator is None or abs(denominator.mean()) < 1e-9:
        return None
    above, below = _resampled_means(numerator), _resampled_means(denominator)
    return _with_bootstrap(numerator.mean() / denominator.mean(), above / below, numerator)


def ratio_difference(
    first: tuple[np.ndarray | None, np.ndarray | None],
    second: tuple[np.ndarray | None, np.ndarray | None],
) -> dict[str, Any] | None:
    """One ratio of means less another, over the same prompts and seeds.

    Args:
        first, second: (numerator, denominator), all of one shape (seeds, prompts).

    Returns:
        None where a part was not measured, shapes differ, or a denominator may be 0.
    """
    parts = [part for part in (*first, *second) if part is not None]
    if len(parts) < 4 or len({part.shape for part in parts}) > 1 or parts[0].size == 0:
        return None
    above, below, other_above, other_below = parts
    if min(abs(below.mean()), abs(other_below.mean())) < 1e-9:
        return None
    drawn = [_resampled_means(part) for part in parts]
    if min(abs(drawn[1]).min(), abs(drawn[3]).min()) < 1e-12:
        return None  # some draws hold no KL at all: the ratio has no interval
    mean = above.mean() / below.mean() - other_above.mean() / other_below.mean()
    return _with_bootstrap(mean, drawn[0] / drawn[1] - drawn[2] / drawn[3], above)


def verdict(difference: dict[str, Any], a: str, b: str) -> str:
    """Who is higher, or that no difference was shown: the interval holds 0."""
    if difference["low"] > 0:
        return f"{a} higher"
    return f"{b} higher" if difference["high"] < 0 else "no difference shown"


def _resampled_means(values: np.ndarray) -> np.ndarray:
    """Means of resampled matrices. The generator is fixed, so two metrics of the same prompts see
    the same draws: that is what makes a bootstrapped ratio paired."""
    draw = np.random.default_rng(0)
    seeds, prompts = values.shape
    rows = draw.integers(seeds, size=(_RESAMPLES, seeds))
    columns = draw.integers(prompts, size=(_RESAMPLES, prompts))
    return np.array([values[np.ix_(r, c)].mean() for r, c in zip(rows, columns, strict=True)])


def _with_bootstrap(mean: float, resampled: np.ndarray, values: np.ndarray) -> dict[str, Any]:
    low, high = np.percentile(resampled, _LEVELS)
    return _entry(mean, low, high, values)


def _entry(mean: float, low: float, high: float, values: np.ndarray) -> dict[str, Any]:
    seeds, prompts = values.shape
    return {
        "mean": float(mean),
        "low": float(low),
        "high": float(high),
        "n": int(prompts),
        "seeds": int(seeds),
    }
