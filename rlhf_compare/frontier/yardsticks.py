"""What a frontier is held against: computed from the base rates, never trained.

Every rate is a mean over prompts of the formula at that prompt's own base rate p0(x): the formula
at the mean base rate would be another number.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from rlhf_compare.best_of_n.sampler import kl_bound
from rlhf_compare.theory import best_of_n_adoption, binary_kl, tilted_adoption

SAMPLES = (1, 2, 4, 8, 16)  # the n of best of n


def best_of_n(base_rates: Sequence[float]) -> list[dict[str, float]]:
    """The best of n samples by the event itself: adoption 1 - (1 - p0)^n, KL at most
    log n - (n - 1)/n (Beirami et al. 2024, theorem 1), in nats per response."""
    return [
        {
            "n": n,
            "adoption": fmean(best_of_n_adoption(p0, n) for p0 in base_rates),
            "kl_bound": kl_bound(n),
        }
        for n in SAMPLES
    ]


def optimum(base_rates: Sequence[float], gap: float, beta: float) -> dict[str, float]:
    """The optimum of r - beta KL where adopting is worth ``gap`` in the reward and nothing else
    differs: adoption a* (Rafailov et al. 2023, equation 4) and its KL, which is the floor of a*.

    Args:
        base_rates: p0 of every prompt.
        gap: reward of an answer that adopts less that of one that does not, in the reward's unit.
        beta: weight of the KL, in the reward's unit per nat.
    """
    adopted = [tilted_adoption(p0, gap, beta) for p0 in base_rates]
    drift = [binary_kl(a, p0) for a, p0 in zip(adopted, base_rates, strict=True)]
    return {"beta": beta, "adoption": fmean(adopted), "kl": fmean(drift)}


def reward_gap(quarters: Sequence[Mapping[str, Any]]) -> float | None:
    """Mean score of the chosen response less that of the rejected one, over held-out pairs.

    In the task ``prefix`` the two are one answer with and without the prefix, so this is what
    adopting is worth to the reward model.

    Args:
        quarters: of the pairs by size of the gap, as the doctor found them: ``margin`` (mean size),
            ``accuracy`` (share with the right sign), ``pairs``. Wrong pairs count with the mean
            size of their quarter, negative.
    """
    pairs = sum(one["pairs"] for one in quarters)
    if not pairs:
        return None
    signed = (one["pairs"] * one["margin"] * (2.0 * one["accuracy"] - 1.0) for one in quarters)
    return float(sum(signed) / pairs)
