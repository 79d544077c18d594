"""From numbers per prompt to the ``methods`` and ``comparisons`` of results.json."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from rlhf_compare.evaluation.intervals import estimate, ratio_difference, ratio_estimate, verdict
from rlhf_compare.evaluation.measure import Measurement, as_matrix
from rlhf_compare.metrics import BY_PATH, COMPARED, METRICS, Metric

_SFT = "sft"

# what makes a run collapsed: this share of what SFT had is lost, and at least this much of it
_LOST_SHARE, _LEAST_LOSS = 0.5, 0.01


def summarise(measurements: Sequence[Measurement]) -> dict[str, Any]:
    """One method over its seeds: every metric with its interval, None where not measured."""
    summary: dict[str, Any] = {}
    for metric in METRICS:
        if metric.source == "cost":
            continue
        group, _, leaf = metric.path.rpartition(".")
        target = summary.setdefault(group, {}) if group else summary
        target[leaf] = _estimate(measurements, metric)
    return summary


def _estimate(measurements: Sequence[Measurement], metric: Metric) -> dict[str, Any] | None:
    if metric.ratio_of is not None:
        numerator, denominator = (as_matrix(measurements, part) for part in metric.ratio_of)
        return ratio_estimate(numerator, denominator)
    return estimate(as_matrix(measurements, metric.path), share=metric.counted)


def compare(methods: dict[str, Sequence[Measurement]]) -> list[dict[str, Any]]:
    """Differences between every two methods on the same prompts and seeds, with verdicts.

    The first two methods after SFT come first, then each method less SFT, then the other pairs.
    """
    rows = []
    for a, b in _pairs(list(methods)):
        for metric in COMPARED:
            difference = _difference(metric, methods[a], methods[b])
            if difference is not None:
                rows.append(
                    {
                        "metric": metric.path,
                        "a": a,
                        "b": b,
                        "difference": difference,
                        "verdict": verdict(difference, a, b),
                    }
                )
    return rows


def _pairs(names: list[str]) -> list[tuple[str, str]]:
    others = [name for name in names if name != _SFT]
    among = list(combinations(others, 2))
    against_sft = [(name, _SFT) for name in others if _SFT in names]
    return [*among[:1], *against_sft, *among[1:]]


def _difference(
    metric: Metric, a: Sequence[Measurement], b: Sequence[Measurement]
) -> dict[str, Any] | None:
    if metric.ratio_of is not None:
        numerator, denominator = metric.ratio_of
        return ratio_difference(
            (as_matrix(a, numerator), as_matrix(a, denominator)),
            (as_matrix(b, numerator), as_matrix(b, denominator)),
        )
    left, right = as_matrix(a, metric.path), as_matrix(b, metric.path)
    if left is None or right is None or left.shape != right.shape:
        return None
    return estimate(left - right)


def collapsed(measurement: Measurement, sft: Measurement) -> bool:
    """Whether a run lost what SFT could do: half of SFT's adoption or more, or half of its
    responses that end where most of them did. A loss within noise is none: the paired 95 %
    interval must lie below 0, and the loss must be at least 0.01."""
    if _lost(measurement, sft, "adoption.exact"):
        return True
    ended = as_matrix([sft], "eos_rate")
    if ended is None or ended.mean() < 0.5:
        return False
    return _lost(measurement, sft, "eos_rate")


def _lost(measurement: Measurement, sft: Measurement, metric: str) -> bool:
    """Whether this share, less SFT's on the same prompts, is a loss beyond noise and of size."""
    change = _difference(BY_PATH[metric], [measurement], [sft])
    base = as_matrix([sft], metric)
    if change is None or base is None:
        return False
    size = max(_LEAST_LOSS, _LOST_SHARE * float(base.mean()))
    return bool(change["high"] < 0.0 and -change["mean"] >= size)
