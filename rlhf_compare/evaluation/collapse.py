"""Which runs count as collapsed, against the SFT model that they started from."""

import numpy as np

from rlhf_compare.evaluation.intervals import difference, estimate
from rlhf_compare.evaluation.measure import Measurement, as_matrix, topics_of
from rlhf_compare.metrics import BY_PATH
from rlhf_compare.theory import ENDS, FLOORS, LEAST_FLOOR, LEAST_LOSS, LOST_SHARE, UNENDED


def collapsed(measurement: Measurement, sft: Measurement) -> bool:
    """Whether :data:`rlhf_compare.theory.COLLAPSE_RULE` holds for one run; both were measured on
    the same prompts."""
    return (
        _lost_adoption(measurement, sft)
        or _stopped_ending(measurement, sft)
        or _left_the_reference(measurement)
    )


def _lost_adoption(run: Measurement, sft: Measurement) -> bool:
    return _lost(run, sft, "adoption.exact", LOST_SHARE, LEAST_LOSS)


def _stopped_ending(run: Measurement, sft: Measurement) -> bool:
    ended = as_matrix([sft], "eos_rate")
    if ended is None or ended.mean() < ENDS:
        return False
    return _lost(run, sft, "eos_rate", 0.0, UNENDED)


def _lost(run: Measurement, sft: Measurement, metric: str, share: float, least: float) -> bool:
    """Whether this share, less SFT's on the same prompts, is a loss beyond noise and of size."""
    base = as_matrix([sft], metric)
    change = difference(
        as_matrix([run], metric), base, topics_of([run], metric), BY_PATH[metric].counted
    )
    if change is None or base is None:
        return False
    return bool(change["high"] < 0.0 and -change["mean"] >= max(least, share * float(base.mean())))


def _left_the_reference(run: Measurement) -> bool:
    """A run that hardly moved has a floor near 0, so the floor is that of full adoption."""
    kl = "kl_to_reference.exact"
    drift = estimate(as_matrix([run], kl), topics_of([run], kl))
    base = as_matrix([run], "base_rate")
    if drift is None or base is None:
        return False
    floor = float(np.log(1.0 / np.clip(base, np.finfo(float).tiny, 1.0)).mean())
    return bool(drift["low"] > FLOORS * max(floor, LEAST_FLOOR))
