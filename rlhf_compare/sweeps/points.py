"""What a sweep knows of one setting: metrics with their seeds, how its runs ended, its seconds."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rlhf_compare.evaluation.collapse import collapsed
from rlhf_compare.evaluation.measure import Measurement
from rlhf_compare.evaluation.stage import read_measurement
from rlhf_compare.evaluation.summary import summarise
from rlhf_compare.finished import Finished
from rlhf_compare.metrics import METRICS
from rlhf_compare.reporting.method_schema import Estimate, Runs
from rlhf_compare.reporting.results import parse
from rlhf_compare.reporting.schema_types import Count, DottedPath, Name, Part, Seconds, Text
from rlhf_compare.runs.files import read_json
from rlhf_compare.sweeps.grid import Setting


class Spent(Part):
    """Device seconds over all seeds of a setting: its own training, and its measurement."""

    training: Seconds
    measuring: Seconds


class Point(Part):
    """One setting of one method over the sweep's seeds.

    metrics   by path, None where it was not measured; each holds its value of every seed
    seeds     those that were completed, in the order of ``by_seed``
    seconds   of the setting's own stages; None where no seed was completed
    """

    name: Name
    method: Name
    values: dict[str, Any]
    metrics: dict[DottedPath, Estimate | None]
    seeds: list[Count]
    runs: Runs
    seconds: Spent | None

    def mean(self, *paths: str) -> float | None:
        """The first of these metrics that was measured."""
        found = (self.metrics.get(path) for path in paths)
        return next((one.mean for one in found if one is not None), None)

    @property
    def adoption(self) -> float | None:
        """Exact; sampled where a policy is no single model."""
        return self.mean("adoption.exact", "adoption.sampled")

    @property
    def kl(self) -> float | None:
        """Exact; its upper bound where a policy is no single model."""
        return self.mean("kl_to_reference.exact", "kl_to_reference.bound")

    @property
    def efficiency(self) -> float | None:
        """Mean floor / mean exact KL: known also where too few seeds bound it."""
        floor, kl = self.mean("kl_to_reference.floor"), self.mean("kl_to_reference.exact")
        return None if floor is None or not kl else floor / kl

    @property
    def sound(self) -> bool:
        """Every seed was completed, and none collapsed."""
        return bool(self.seeds) and self.runs.failed == 0 and self.runs.collapsed == 0


class Origin(Part):
    """Where the numbers of a sweep come from."""

    command: Text
    commit: Text | None
    dirty: bool | None
    device: Text
    created: Text
    seeds: list[Count]
    prompts: Count
    prompt_side: Text


def measurements(finished: Finished) -> dict[str, dict[int, Measurement]]:
    """Column -> seed -> what was measured."""
    return {
        name: {seed: read_measurement(stage.directory) for seed, stage in by_seed.items()}
        for name, by_seed in finished.evaluations.items()
    }


def points_of(
    finished: Finished,
    settings: Iterable[Setting],
    measured: Mapping[str, Mapping[int, Measurement]],
) -> list[Point]:
    """One a setting, failed ones too.

    Raises:
        ResultsError: a number that was measured breaks the contract, for instance one that is NaN.
    """
    return [_point(finished, one, measured) for one in settings]


def _point(
    finished: Finished, setting: Setting, measured: Mapping[str, Mapping[int, Measurement]]
) -> Point:
    by_seed = measured.get(setting.name, {})
    fell = [seed for seed, one in by_seed.items() if collapsed(one, measured["sft"][seed])]
    return parse(
        Point,
        {
            "name": setting.name,
            "method": setting.method,
            "values": dict(setting.values),
            "metrics": metrics_of(list(by_seed.values())),
            "seeds": list(by_seed),
            "runs": {
                "completed": len(by_seed),
                "failed": len(finished.failed.get(setting.name, [])),
                "collapsed": len(fell),
            },
            "seconds": _seconds(finished, setting.name, list(by_seed)),
        },
        f"$.points[{setting.name}]",
    )


def metrics_of(measured: Sequence[Measurement], one_run: bool = False) -> dict[str, Any]:
    """Every measured metric by its path; see :func:`summarise`."""
    summary = summarise(measured, one_run) if measured else {}
    found = {}
    for metric in METRICS:
        group, _, leaf = metric.path.rpartition(".")
        holder = summary.get(group, {}) if group else summary
        if leaf in holder:
            found[metric.path] = holder[leaf]
    return found


def _seconds(finished: Finished, name: str, seeds: Sequence[int]) -> dict[str, float] | None:
    if not seeds:
        return None
    return {
        "training": sum(stage_seconds(finished, f"{name}-{seed}") for seed in seeds),
        "measuring": sum(
            stage_seconds(finished, f"evaluate-{name}-{seed}", True) for seed in seeds
        ),
    }


def stage_seconds(finished: Finished, label: str, measuring: bool = False) -> float:
    """Seconds that the device was held for a stage; of one that trains, without its probes."""
    stage = finished.stages.get(label)
    file = None if stage is None else stage.directory.path / "cost.json"
    if file is None or not file.is_file():
        return 0.0
    cost = read_json(file)
    probes = 0.0 if measuring else cost["phases"].get("evaluate", 0.0)
    return float(cost["total"] - probes)


def shared_seconds(finished: Finished, seeds: Sequence[int]) -> dict[str, float]:
    """Stage -> seconds of what all settings share, each counted once: SFT and its measurement, the
    reward models of every seed, the judge among them."""
    found = {"sft": stage_seconds(finished, "sft")}
    for label in finished.stages:
        name = label.rpartition("-")[0]
        if name in ("reward", "judge"):
            found[name] = found.get(name, 0.0) + stage_seconds(finished, label)
    found["evaluate-sft"] = sum(
        stage_seconds(finished, f"evaluate-sft-{seed}", True) for seed in seeds
    )
    return {name: seconds for name, seconds in found.items() if seconds > 0.0}


def origin_of(finished: Finished, command: str, seeds: Sequence[int]) -> Origin:
    """Of the stages, whose commit is the one that trained."""
    records = [stage.directory.record()["provenance"] for stage in finished.stages.values()]
    sft = finished.stages["sft"].directory.record()["provenance"]
    measured = next(iter(finished.evaluations["sft"].values()))
    trees = [one["dirty"] for one in records if one["dirty"] is not None]
    return Origin(
        command=command,
        commit=sft["commit"],
        dirty=any(trees) if trees else None,
        device=sft["device"]["name"],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seeds=list(seeds),
        prompts=len(read_measurement(measured.directory).answers),
        prompt_side=finished.recipe.evaluation.prompts,
    )
