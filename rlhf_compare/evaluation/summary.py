"""From numbers per prompt to the ``methods`` and ``comparisons`` of results.json."""

from collections.abc import Sequence
from typing import Any

from rlhf_compare.evaluation.intervals import estimate, ratio_estimate, verdict
from rlhf_compare.evaluation.measure import Measurement, as_matrix

# dotted path in a method's results -> the metric of that name per prompt
METRICS = (
    "adoption.greedy",
    "adoption.sampled",
    "adoption.exact",
    "kl_to_reference.exact",
    "kl_to_reference.k1",
    "kl_to_reference.k3",
    "kl_to_reference.style",
    "kl_to_reference.content",
    "kl_to_reference.per_token",
    "kl_to_reference.floor",
    "reward.proxy",
    "reward.held_out",
    "win_rate_vs_sft",
    "length",
    "eos_rate",
    "entropy",
    "distinct_2",
)

# counts of yes and no: everything else is a number
_SHARES = {"adoption.greedy", "adoption.sampled", "eos_rate"}

_COMPARED = (
    "adoption.greedy",
    "adoption.sampled",
    "adoption.exact",
    "kl_to_reference.exact",
    "kl_to_reference.style",
    "kl_to_reference.content",
    "reward.proxy",
    "length",
    "eos_rate",
    "entropy",
)


def summarise(measurements: Sequence[Measurement]) -> dict[str, Any]:
    """One method over its seeds: every metric with its interval, None where not measured."""
    summary: dict[str, Any] = {}
    for name in METRICS:
        group, _, leaf = name.rpartition(".")
        target = summary.setdefault(group, {}) if group else summary
        target[leaf] = estimate(as_matrix(measurements, name), share=name in _SHARES)
    summary["kl_to_reference"]["efficiency"] = ratio_estimate(
        as_matrix(measurements, "kl_to_reference.floor"),
        as_matrix(measurements, "kl_to_reference.exact"),
    )
    return summary


def compare(methods: dict[str, Sequence[Measurement]]) -> list[dict[str, Any]]:
    """Differences between every two methods on the same prompts and seeds, with verdicts."""
    names = list(methods)
    rows = []
    for index, a in enumerate(names):
        for b in names[index + 1 :]:
            for metric in _COMPARED:
                left, right = (as_matrix(methods[name], metric) for name in (a, b))
                if left is None or right is None or left.shape != right.shape:
                    continue
                difference = estimate(left - right)
                if difference is not None:
                    rows.append(
                        {
                            "metric": metric,
                            "a": a,
                            "b": b,
                            "difference": difference,
                            "verdict": verdict(difference, a, b),
                        }
                    )
    return rows


def collapsed(measurement: Measurement, sft: Measurement) -> bool:
    """Whether a run fell below where it started: it adopts less than SFT does, or most of its
    responses no longer end while most of SFT's do."""

    def mean(m: Measurement, name: str) -> float | None:
        matrix = as_matrix([m], name)
        return None if matrix is None else float(matrix.mean())

    adoption, base = mean(measurement, "adoption.exact"), mean(sft, "adoption.exact")
    if adoption is not None and base is not None and adoption < base:
        return True
    ended, sft_ended = mean(measurement, "eos_rate"), mean(sft, "eos_rate")
    return ended is not None and sft_ended is not None and ended < 0.5 <= sft_ended
