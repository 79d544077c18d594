"""How the seeds of a method ended, under its own learning rate and under others."""

from collections.abc import Mapping
from functools import reduce
from typing import Any

from rlhf_compare.evaluation.collapse import collapsed
from rlhf_compare.evaluation.measure import Measurement
from rlhf_compare.evaluation.summary import BySeed, summarise
from rlhf_compare.finished import Finished
from rlhf_compare.metrics import METRICS
from rlhf_compare.reporting.method_schema import Runs, Trial
from rlhf_compare.sensitivity import FIELD, trials_of

_SFT = "sft"


def count_runs(finished: Finished, method: str, measured: Mapping[str, BySeed]) -> Runs:
    """Args:
    measured: method -> seed -> its measurement.
    """
    by_seed, sft = measured.get(method, {}), measured.get(_SFT, {})
    fell = [
        seed
        for seed, found in by_seed.items()
        if method != _SFT and seed in sft and collapsed(found, sft[seed])
    ]
    return Runs(
        completed=1 if method == _SFT else len(by_seed),  # SFT is one run
        failed=len(finished.failed.get(method, [])),
        collapsed=len(fell),
    )


def sensitivity_of(finished: Finished, method: str, measured: Mapping[str, BySeed]) -> list[Trial]:
    """A method's runs under other learning rates, from the lowest; empty where none was tried."""
    recipe = finished.recipe
    return [
        Trial(
            factor=factor,
            learning_rate=float(recipe.section(trial).value(FIELD)),
            runs=count_runs(finished, trial, measured),
            means=_means(measured.get(trial, {})),
        )
        for trial, factor in sorted(trials_of(recipe, method).items(), key=lambda item: item[1])
    ]


def _means(by_seed: Mapping[int, Measurement]) -> dict[str, float]:
    """The headline metrics that were measured, by path."""
    summary: Any = summarise(list(by_seed.values())) if by_seed else {}
    found = {}
    for metric in METRICS:
        if metric.headline:
            value = reduce(lambda part, key: (part or {}).get(key), metric.path.split("."), summary)
            if value is not None:
                found[metric.path] = float(value["mean"])
    return found
