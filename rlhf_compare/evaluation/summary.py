"""From numbers per prompt to the ``methods`` and ``comparisons`` of results.json."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from rlhf_compare.evaluation.intervals import (
    difference,
    estimate,
    ratio_difference,
    ratio_estimate,
)
from rlhf_compare.evaluation.measure import Measurement, as_matrix, topics_of
from rlhf_compare.evaluation.verdicts import decide
from rlhf_compare.evaluation.win_rates import Opinion, win_rates
from rlhf_compare.metrics import COMPARED, METRICS, Metric

BySeed = Mapping[int, Measurement]
_SFT = "sft"


def summarise(measurements: Sequence[Measurement], one_run: bool = False) -> dict[str, Any]:
    """One method over its seeds: every metric with its interval, None where not measured.

    Args:
        one_run: the measurements are of one trained model, as of SFT: they differ in the sampling
            alone, so that their mean is one row. Scores of reward models keep a row for each seed,
            which trained a reward model of its own.
    """
    summary: dict[str, Any] = {}
    for metric in METRICS:
        if metric.source == "cost":
            continue
        group, _, leaf = metric.path.rpartition(".")
        target = summary.setdefault(group, {}) if group else summary
        applies = not (one_run and _SFT in metric.not_of)
        target[leaf] = _estimate(measurements, metric, one_run) if applies else None
    return summary


def _estimate(
    measurements: Sequence[Measurement], metric: Metric, one_run: bool
) -> dict[str, Any] | None:
    def matrix(name: str) -> np.ndarray | None:
        values = as_matrix(measurements, name)
        if values is None or not one_run or metric.group == "reward":
            return values
        return np.asarray(values.mean(axis=0, keepdims=True))

    topics = topics_of(measurements, (metric.ratio_of or (metric.path,))[0])
    if metric.ratio_of is not None:
        numerator, denominator = map(matrix, metric.ratio_of)
        return ratio_estimate(numerator, denominator, topics)
    return estimate(matrix(metric.path), topics, share=metric.is_share)


def compare(
    methods: Mapping[str, BySeed],
    main: tuple[str, str] | None = None,
    asked: Mapping[tuple[str, str], Mapping[int, Opinion]] | None = None,
) -> list[dict[str, Any]]:
    """Differences between every two methods on the same prompts, each over the seeds that the two
    share; see :mod:`rlhf_compare.evaluation.verdicts` for a row. Win rates are among the rows of a
    pair, because Holm's adjustment is over both: see :mod:`rlhf_compare.evaluation.win_rates`.

    The main pair comes first, then each method less SFT, then the other pairs. Where two methods
    share no seed, there is no row.

    Args:
        methods: by name, the measurement of every seed that was completed.
        main: the pair that was asked about; None = the first two methods after SFT.
        asked: of two methods, what a judge behind an endpoint said under each seed.
    """
    rows = []
    every = pairs(list(methods), main)
    judged = not _looks_for_a_behaviour(methods)
    for a, b in every:
        shared = sorted(set(methods[a]) & set(methods[b]))
        left, right = ([methods[name][seed] for seed in shared] for name in (a, b))
        found = [(metric, _difference(metric, left, right)) for metric in COMPARED]
        is_main = (a, b) == every[0] and _SFT not in (a, b)
        opinions = [((asked or {}).get((a, b)) or {}).get(seed) for seed in shared]
        judgements = win_rates((a, b), (left, right), opinions, headline=is_main and judged)
        rows += decide(
            [
                *judgements,
                *(
                    {
                        "metric": metric.path,
                        "a": a,
                        "b": b,
                        "difference": value,
                        "headline": is_main and (metric.headline or (judged and metric.judged)),
                    }
                    for metric, value in found
                    if value is not None
                ),
            ]
        )
    return rows


def _looks_for_a_behaviour(methods: Mapping[str, BySeed]) -> bool:
    """Whether the task has one: then some metric of it was measured."""
    of_behaviour = {metric.path for metric in METRICS if metric.behaviour}
    runs = (run for by_seed in methods.values() for run in by_seed.values())
    return any(of_behaviour & set(run.per_prompt) for run in runs)


def pairs(names: list[str], main: tuple[str, str] | None) -> list[tuple[str, str]]:
    """Every two methods, the main pair first, then each less SFT."""
    others = [name for name in names if name != _SFT]
    among = list(combinations(others, 2))
    if main is not None:
        among.sort(key=lambda pair: set(pair) != set(main))  # stable
    against_sft = [(name, _SFT) for name in others if _SFT in names]
    return [*among[:1], *against_sft, *among[1:]]


def _difference(
    metric: Metric, a: Sequence[Measurement], b: Sequence[Measurement]
) -> dict[str, Any] | None:
    if not a:
        return None
    topics = topics_of(a, (metric.ratio_of or (metric.path,))[0])
    if metric.ratio_of is not None:
        numerator, denominator = metric.ratio_of
        return ratio_difference(
            (as_matrix(a, numerator), as_matrix(a, denominator)),
            (as_matrix(b, numerator), as_matrix(b, denominator)),
            topics,
        )
    first, second = as_matrix(a, metric.path), as_matrix(b, metric.path)
    return difference(first, second, topics, share=metric.counted)
