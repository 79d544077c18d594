"""Where more drift buys reward from the model that was trained against and not from the judge.

Gao, Schulman and Hilton 2023, "Scaling laws for reward model overoptimization": reward against
d = sqrt(KL). The onset is the d at which the judge's reward is highest while the proxy's still
rises.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rlhf_compare.evaluation.intervals import difference
from rlhf_compare.evaluation.measure import Measurement, as_matrix, topics_of
from rlhf_compare.evaluation.verdicts import LEAST_SEEDS
from rlhf_compare.frontier.curves import over_seeds

KL, PROXY, JUDGE = "kl_to_reference.exact", "reward.proxy", "reward.held_out"


def over_optimisation(settings: Sequence[Mapping[int, Measurement]]) -> dict[str, Any] | None:
    """What the two rewards do along the settings of one method.

    Args:
        settings: of each, the measurement of every seed. Seeds that a setting lacks are left out
            of all, or the settings would differ by the seeds.

    Returns:
        ``verdict``:
            "onset"     the judge's reward falls beyond its peak while the proxy's rises
            "both fall" it falls, and the proxy's does not rise
            "none"      no fall within the range is shown
            "undecided" fewer than three seeds
        ``peak`` sqrt(KL) at the peak, mean over seeds, ``peak_interval`` over the seeds' own
        peaks (None below three seeds, or where a seed has its peak at the end of the range),
        ``peaks`` each seed's (None = at the end), ``fall`` of the judge's reward from the peak to
        the furthest setting and ``rise`` of the proxy's, each with its interval, ``p_value`` of the
        fall (adjusted for the choice of the peak among settings), ``reach`` the largest sqrt(KL).
        None where a reward was not measured or there are fewer than three settings.
    """
    shared = sorted(set.intersection(*(set(one) for one in settings))) if settings else []
    if len(settings) < 3 or not shared:
        return None
    runs = [[one[seed] for seed in shared] for one in settings]
    kl, proxy, judge = ([as_matrix(run, name) for run in runs] for name in (KL, PROXY, JUDGE))
    if any(matrix is None for matrices in (kl, proxy, judge) for matrix in matrices):
        return None
    drift, trained, judged = (
        np.array([matrix.mean(axis=1) for matrix in matrices if matrix is not None])
        for matrices in (kl, proxy, judge)
    )  # each (settings, seeds)
    order = np.argsort(drift.mean(axis=1), kind="stable")
    distance, judged, trained = (
        np.sqrt(np.maximum(drift[order], 0.0)),
        judged[order],
        trained[order],
    )
    peak, last = int(judged.mean(axis=1).argmax()), len(order) - 1
    peaks = _peaks(distance, judged)
    topics = topics_of(runs[0], JUDGE)
    fall = difference(judge[order[peak]], judge[order[last]], topics)
    rise = difference(proxy[order[last]], proxy[order[peak]], topics)
    inside = [one for one in peaks if one is not None]
    chance = None if fall is None else min(1.0, fall["p_value"] * max(last, 1))
    return {
        "verdict": _verdict(peak == last, chance, rise, len(shared)),
        "seeds": shared,
        "peak": float(distance[peak].mean()),
        "peaks": peaks,
        "peak_interval": over_seeds(np.array(inside)) if len(inside) == len(peaks) else None,
        "fall": _kept(fall),
        "rise": _kept(rise),
        "p_value": chance,
        "reach": float(distance[last].mean()),
    }


def _peaks(distance: Any, judged: Any) -> list[float | None]:
    """Each seed's own peak; None where it lies at the seed's furthest setting."""
    found: list[float | None] = []
    for far, reward in zip(distance.T, judged.T, strict=True):
        place = int(reward.argmax())
        found.append(None if far[place] == far.max() else float(far[place]))
    return found


def _verdict(at_the_end: bool, chance: float | None, rise: Any, seeds: int) -> str:
    if seeds < LEAST_SEEDS:
        return "undecided"
    if at_the_end or chance is None or chance > 0.05:
        return "none"
    return "onset" if rise is not None and rise["low"] > 0.0 else "both fall"


def _kept(found: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if found is None else {k: v for k, v in found.items() if k != "p_value"}
