"""Intervals of shares, and of differences between two shares, from few or many yeses.

A mean plus or minus a multiple of its spread fails near 0 and 1: where every answer is equal it
has no width. These intervals take a number of answers that is as certain as the data are, the
effective n (Korn & Graubard 1998), so that seeds, prompts and topics count as much as they tell.
Axes as in :mod:`rlhf_compare.evaluation.random_effects`.
"""

import numpy as np
from scipy.special import expit, logit
from scipy.stats import chi2, norm

from rlhf_compare.evaluation.random_effects import Array, Spread

_Z = float(norm.ppf(0.975))
_RARE = 3.0  # yeses up to which Wilson's lower limit is too high


def share_interval(mean: Array, spread: Spread) -> tuple[Array, Array]:
    """Low and high of a share's 95 % interval.

    Wilson's, with the modification of Brown, Cai & DasGupta (2001, section 4.1.1) for at most
    three yeses (or noes), whose limit Wilson sets too near to the share; or the limit on the logit
    scale (their section 4.2) where that is farther out. Wilson's spread grows with the root of
    the share, which is true of the draw of answers; that of seeds grows with the share itself.
    """
    mean = np.clip(mean, 0.0, 1.0)
    n = effective_n(mean * (1.0 - mean), spread)
    middle = (mean + _Z**2 / (2 * n)) / (1.0 + _Z**2 / n)
    half = _Z / (1.0 + _Z**2 / n) * np.sqrt(mean * (1.0 - mean) / n + _Z**2 / (4 * n**2))
    logit_low, logit_high = _logit_limits(mean, spread)
    low = np.minimum(np.minimum(middle - half, _rare_limit(mean, n)), logit_low)
    high = np.maximum(np.maximum(middle + half, 1.0 - _rare_limit(1.0 - mean, n)), logit_high)
    return np.clip(low, 0.0, mean), np.clip(high, mean, 1.0)


def share_difference_interval(
    positive: Array, negative: Array, spread: Spread
) -> tuple[Array, Array, Array]:
    """Low and high of the 95 % interval of a paired difference of shares, and its z.

    One answer of each kind is added to both sides (Bonett & Price 2012): prompts on which the two
    differ may be rare, and where there is none the difference is still not certain.

    Args:
        positive, negative: mean over prompts of what one share has more, or less, than the other.
    """
    difference = positive - negative
    n = effective_n(positive + negative - difference**2, spread)
    more, less = (positive * n + 1) / (n + 2), (negative * n + 1) / (n + 2)
    middle = more - less
    error = np.sqrt((more + less - middle**2) / (n + 2))
    low, high = middle - _Z * error, middle + _Z * error
    return np.clip(low, -1.0, difference), np.clip(high, difference, 1.0), middle / error


def effective_n(variance: Array, spread: Spread) -> Array:
    """How many independent answers would give the interval that ``spread`` gives.

    Args:
        variance: of one independent answer; 0 = all are equal, and n is the number of units.
    """
    of_mean = (_half(spread) / _Z) ** 2
    same = (variance <= 0.0) | (of_mean <= 0.0)
    return np.where(same, spread.n_units, variance / np.where(same, 1.0, of_mean))


def _half(spread: Spread) -> Array:
    """Half of the mean's interval; seeds that agree by chance do not make it shorter than that."""
    return np.asarray(np.maximum(spread.half_width(), spread.least_error()))


def _logit_limits(mean: Array, spread: Spread) -> tuple[Array, Array]:
    """Low and high by the delta method on the logit scale; the mean itself where that has no logit.

    Where seeds differ by more than noise, a mean over few of them is skewed: it mostly lies nearer
    to 0 or 1 than the truth. The limit on the side of 1/2 moves out by what the Edgeworth expansion
    of Student's t adds, ``skewness (2 z^2 + 1) / (6 sqrt(seeds))`` standard errors (Johnson 1978;
    Hall 1992, chapter 2). With ``v`` the variance of the mean's logit that is due to seeds, and
    skewness ``3 (1 - 2 mean) sqrt(v seeds)``, which is that of a small effect on the logit, that is
    ``(1 - 2 mean) v (2 z^2 + 1) / 2`` on the logit scale, of which the scale's own curvature gives
    ``(1 - 2 mean) v z^2 / 2``. The other limit stays: moved inwards it
    would cover too rarely (91 % with 10 seeds). So few as three seeds do not move it, their
    Student's t reaches far enough; two seeds' t would reach to 0 or 1 on this scale, so that theirs
    is only that of seeds without an effect, for two that agree by chance.
    """
    inside = (mean > 0.0) & (mean < 1.0)
    share = np.where(inside, mean, 0.5)
    slope = 1.0 / (share * (1.0 - share))  # of the logit
    width = (spread.least_error() if spread.n_seeds == 2 else _half(spread)) * slope
    of_seeds = np.maximum(spread.seeds - spread.noise, 0.0) * slope**2 * (spread.n_seeds > 3)
    shift = (1.0 - 2.0 * share) * of_seeds * (_Z**2 + 1.0) / 2.0
    low = expit(logit(share) - width + np.minimum(shift, 0.0))
    high = expit(logit(share) + width + np.maximum(shift, 0.0))
    return np.where(inside, low, mean), np.where(inside, high, mean)


def _rare_limit(share: Array, n: Array) -> Array:
    """The lower limit that Poisson's distribution gives to at most three yeses; else 1."""
    yeses = np.asarray(share * n)
    rare = (yeses > 0.0) & (yeses <= _RARE)
    return np.where(rare, chi2.ppf(0.05, 2 * np.where(rare, yeses, 1.0)) / (2 * n), 1.0)
