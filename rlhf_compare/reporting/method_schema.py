"""One method's part of results.json: its metrics, costs, training runs and seeds.

The metrics come from the one metric table, so that a new metric needs no line here. An estimate is
None where nothing was measured.
"""

from collections import defaultdict
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, create_model, model_validator

from rlhf_compare.metrics import BY_PATH, METRICS, PROBED, Metric
from rlhf_compare.reporting.schema_types import (
    Count,
    DottedPath,
    Name,
    Part,
    Seconds,
    Text,
)


class Estimate(Part):
    """A mean with its 95 % interval; low and high are both None where there is one number and no
    interval. n: prompts; units: topics where rows name one, else prompts, drawn independently;
    seeds: training runs; by_seed: the mean of each, empty in results of an older version."""

    mean: float
    low: float | None
    high: float | None
    n: Annotated[int, Field(ge=1)]
    seeds: Annotated[int, Field(ge=1)]
    units: Annotated[int, Field(ge=1)] | None = None
    by_seed: list[float | None] = Field(default_factory=list)

    @model_validator(mode="after")
    def _interval_is_one(self) -> "Estimate":
        if self.low is None or self.high is None:
            if self.low is not self.high:
                raise ValueError("low and high must both be numbers or both be null")
        elif self.low > self.high:
            raise ValueError(f"low ({self.low}) is above high ({self.high})")
        return self

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends, or None where there is no interval."""
        return None if self.low is None or self.high is None else (self.low, self.high)


class Share(Estimate):
    """An estimate of a probability; single precision may round a hair above 1."""

    mean: Annotated[float, Field(ge=0, le=1.000001)]


class StageCost(Part):
    """Device seconds of one stage, whole and by phase, means over the seeds; by_seed: the total of
    each, one number where all seeds share the stage."""

    total: Seconds
    phases: dict[Name, Seconds]
    by_seed: list[Seconds] = Field(default_factory=list)


class DeviceSeconds(Part):
    """Every stage that the path needs is charged to it; evaluation never is."""

    path_total: Seconds
    stages: dict[Name, StageCost]

    def by_seed(self) -> list[float]:
        """Of the whole path, for each seed; empty where the seeds were not kept apart."""
        parts = [stage.by_seed for stage in self.stages.values()]
        runs = max(map(len, parts), default=0)
        if not all(len(part) in (1, runs) and part for part in parts):
            return []
        return [sum(part[min(i, len(part) - 1)] for part in parts) for i in range(runs)]

    @property
    def after_sft(self) -> float:
        """Of every stage but SFT, which all paths share."""
        return float(sum(stage.total for name, stage in self.stages.items() if name != "sft"))


class Tokens(Part):
    """Tokens that a path trained on and sampled."""

    trained: Count | None
    generated: Count | None


class SeedCost(Part):
    """What the path of one seed took; what seeds share is in each."""

    seed: Count
    path_total: Seconds
    after_sft: Seconds
    peak_memory_bytes: Count | None


class Cost(Part):
    """What a method's path took, as means over its seeds but for the peak, which is the highest;
    padding_share: of the method's own training batches; by_seed: empty for SFT, which is one run,
    and in results of an older version."""

    device_seconds: DeviceSeconds | None
    peak_memory_bytes: Count | None
    padding_share: Annotated[float, Field(ge=0, le=1)] | None
    tokens: Tokens | None
    by_seed: list[SeedCost] = Field(default_factory=list)

    @property
    def stages(self) -> dict[str, StageCost]:
        """The stages that the path was charged for; empty where no seconds were measured."""
        return {} if self.device_seconds is None else self.device_seconds.stages


_PROBED = (
    *("held_out_loss", *(m.probe for m in PROBED), "logratio_chosen", "logratio_rejected"),
    *("seconds", "samples"),
)


class _Point(Part):
    step: Count

    def value(self, name: str) -> float | None:
        """What the probe saw under this name; None where it did not look.

        Raises:
            KeyError: no probe has that name.
        """
        if name not in _PROBED:
            raise KeyError(f"no probe {name!r}; there are {', '.join(_PROBED)}")
        value: float | None = getattr(self, name)
        return value


if TYPE_CHECKING:
    Point = _Point  # the metrics are fields at run time alone, and value() reads them
else:
    _FIELDS = dict.fromkeys(_PROBED, (float | None, None))
    Point = create_model("Point", __base__=_Point, **_FIELDS)
    Point.__doc__ = (
        "What a probe on prompts of its own saw at one step of a training run: shares, nats per "
        "response, log-ratios to the reference on held-out pairs in nats per response. And what "
        "the run had taken by then: device seconds of the method's own stage, evaluations left "
        "out, and samples (pairs, episodes or demonstrations, each as often as it was drawn)."
    )


class TrainingRun(Part):
    """The probes of one seed, and the device seconds of the stages before the method's own; the
    points of step 0 are the SFT model, from which the run began."""

    seed: Count
    points: list[Point]
    before: dict[Name, Seconds] = Field(default_factory=dict)


class Runs(Part):
    """How the seeds of a method ended."""

    completed: Count
    failed: Count
    collapsed: Count


class StageComplexity(Part):
    """What one stage of a method's path asks for. models: by role -> parameters, each counted once,
    in memory while it trains; lines: of code, ``here`` and ``trl``; settings: fields that the
    recipe sets in its section. models and lines are empty where nothing trains."""

    models: dict[Text, Count]
    lines: dict[Text, Count]
    settings: Count


class Trial(Part):
    """A method under another learning rate: its runs, and the means over them of the metrics that
    methods are mainly compared by, by their paths; empty where every run failed."""

    factor: Annotated[float, Field(gt=0)]
    learning_rate: Annotated[float, Field(ge=0)]
    runs: Runs
    means: dict[DottedPath, float]


class Sampling(Part):
    """How a method samples while it trains."""

    temperature: float
    response_length: Count | None


class _MethodResult(Part):
    label: Text | None = None  # what its column trains; results of an older version have no name
    baseline: bool = False  # a yardstick: never one of the pair that the verdict is about
    cost: Cost
    training: list[TrainingRun]
    runs: Runs
    caveats: list[Text] = Field(default_factory=list)
    complexity: dict[Name, StageComplexity] = Field(default_factory=dict)
    sensitivity: list[Trial] = Field(default_factory=list)
    sampling: Sampling | None = None

    def measured(self, path: str) -> Estimate | float | None:
        """What stands at a metric's dotted path: an estimate, or a plain number without an
        interval. None where it was not measured, or where the results are older than the metric.

        Raises:
            KeyError: no metric has that path.
        """
        if path not in BY_PATH:
            raise KeyError(f"no metric {path!r}; there are {', '.join(BY_PATH)}")
        found: Any = self
        for key in path.split("."):
            if found is None:
                return None
            found = getattr(found, key)
        number: Estimate | float | None = found
        return number

    def estimate(self, path: str) -> Estimate | None:
        """The estimate at a metric's path; None where it was not measured.

        Raises:
            KeyError: no metric has that path.
            TypeError: the metric is a plain number, which has no interval.
        """
        found = self.measured(path)
        if found is None or isinstance(found, Estimate):
            return found
        raise TypeError(f"{path} is a number without an interval: ask value()")

    def value(self, path: str) -> float | None:
        """The mean or the plain number at a metric's path; None where it was not measured.

        Raises:
            KeyError: no metric has that path.
        """
        found = self.measured(path)
        return found.mean if isinstance(found, Estimate) else found


def _type_of(metric: Metric) -> Any:
    return Share if metric.style == "share" and metric.ratio_of is None else Estimate


def _metric_fields() -> dict[str, Any]:
    """One field a metric, nested as its dotted path says."""
    groups: dict[str, dict[str, Any]] = defaultdict(dict)
    fields: dict[str, Any] = {}
    for metric in METRICS:
        if metric.source == "cost":
            continue
        group, _, leaf = metric.path.rpartition(".")
        target = groups[group] if group else fields
        target[leaf] = (
            _type_of(metric) | None,
            # results of an older version do not have a newer metric
            Field(default=None, description=f"{metric.label}, {metric.unit}"),
        )
    for group, leaves in groups.items():
        name = "".join(part.title() for part in group.split("_"))
        # nor a newer group
        fields[group] = (create_model(name, __base__=Part, **leaves) | None, None)
    return fields


if TYPE_CHECKING:
    MethodResult = _MethodResult  # the metrics are fields at run time alone; see its accessors
else:
    MethodResult = create_model("MethodResult", __base__=_MethodResult, **_metric_fields())
