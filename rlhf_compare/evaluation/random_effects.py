"""How far a mean over seeds and prompts can be from the truth: two-way random effects.

Every function takes arrays whose last two axes are (seeds, prompts); axes before them are other
data of that shape, and results keep those axes.

``x[s, p] = mean + seed[s] + prompt[p] + noise[s, p]``, all random: the interval is for the mean
over other seeds and other prompts (Searle, Casella & McCulloch 1992, chapter 4). A prompt is
measured under every seed, so a mean over both has two sources of spread of its own, and few seeds
say little of theirs.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student_t

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Variances of one mean.

    Attributes:
        seeds: variance that seeds cause, noise included: that of the seeds' means / seeds.
        units: variance that the units (prompts, or topics) cause beside it.
        noise: the part of ``seeds`` that seeds without an effect would cause, too.
        n_seeds: training runs; 1 = nothing is known of seeds, and ``seeds`` is 0.
        n_units: units that were drawn independently; with 1 nothing is known of them.
    """

    seeds: Array
    units: Array
    noise: Array
    n_seeds: int
    n_units: int

    def half_width(self, miss: float = 0.05) -> Array:
        """Half of the interval that misses the truth with this probability.

        Student's t for each source by its degrees of freedom, weighted by the sources' variances
        (Cochran 1964, for the Behrens-Fisher problem); never less than seeds alone give. With one
        seed it is the t interval over units.
        """
        weight = student_t.isf(miss / 2, max(self.n_units - 1, 1))
        if self.n_seeds == 1:
            return np.asarray(weight * np.sqrt(self.units))
        seed_weight = student_t.isf(miss / 2, self.n_seeds - 1)
        total = np.sqrt(self.seeds + self.units)
        both = (seed_weight * self.seeds + weight * self.units) / np.where(total > 0, total, 1.0)
        return np.asarray(np.maximum(both, seed_weight * np.sqrt(self.seeds)))

    def least_error(self) -> Array:
        """Standard error of the mean if seeds had no effect of their own."""
        return np.asarray(np.sqrt(self.units + self.noise))

    def p_value(self, distance: float) -> float:
        """Two-sided: the ``miss`` at which the interval just reaches this far from its mean."""
        if distance == 0.0:
            return 1.0
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            wide = float(self.half_width(middle)) > abs(distance)
            low, high = (middle, high) if wide else (low, middle)
        return high


def spread(values: Array, topics: Array | None = None) -> Spread:
    """Variances of the mean of ``values`` (..., seeds, prompts).

    Args:
        topics: of each prompt, the topic it belongs to, as whole numbers. Prompts of one topic are
            no independent draws: the topic is the unit then (sums over a topic's prompts, as in
            Cochran 1977, section 9A.2, so that topics may differ in size).
    """
    seeds, prompts = values.shape[-2:]
    means = values.mean(axis=-1)
    sums = _by_topic(values - means[..., None], topics)
    units = sums.shape[-1]
    sums = sums * (units / prompts)
    middle = sums.mean(axis=-2, keepdims=True)
    of_units = seeds * (middle**2).sum(axis=(-2, -1)) / max(units - 1, 1)
    if seeds == 1:
        zero = np.zeros_like(of_units)
        return Spread(seeds=zero, units=of_units / units, noise=zero, n_seeds=1, n_units=units)
    of_noise = ((sums - middle) ** 2).sum(axis=(-2, -1)) / (max(units - 1, 1) * (seeds - 1))
    return Spread(
        seeds=means.var(axis=-1, ddof=1) / seeds,
        units=np.maximum(of_units - of_noise, 0.0) / (seeds * units),
        noise=of_noise / (seeds * units),
        n_seeds=seeds,
        n_units=units,
    )


def units_of(values: Array, topics: Array | None) -> int:
    """How many units were drawn independently."""
    return values.shape[-1] if topics is None else len(np.unique(topics))


def _by_topic(values: Array, topics: Array | None) -> Array:
    """Sums over the prompts of each topic: (..., prompts) -> (..., topics)."""
    if topics is None:
        return values
    names, place = np.unique(topics, return_inverse=True)
    return np.asarray(values @ np.eye(len(names))[place])
