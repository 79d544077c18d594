"""The form of results.json as types; ``schema.json`` is made from them.

    python -m rlhf_compare.reporting.schema    writes schema.json anew; a test holds the two equal

A method's metrics come from the one metric table, so that a new metric needs no line here. An
estimate is None where nothing was measured.
"""

import json
from collections import defaultdict
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from rlhf_compare.metrics import METRICS, PROBED, Metric
from rlhf_compare.reporting.provenance_schema import Provenance
from rlhf_compare.reporting.schema_types import Count, DottedPath, Name, Part, Seconds, Text


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
    by_seed: list[float | None] = Field([])

    @model_validator(mode="after")
    def _interval_is_one(self) -> "Estimate":
        if self.low is None or self.high is None:
            if self.low is not self.high:
                raise ValueError("low and high must both be numbers or both be null")
        elif self.low > self.high:
            raise ValueError(f"low ({self.low}) is above high ({self.high})")
        return self


class Share(Estimate):
    """An estimate of a probability; single precision may round a hair above 1."""

    mean: Annotated[float, Field(ge=0, le=1.000001)]


class StageCost(Part):
    """Device seconds of one stage, whole and by phase."""

    total: Seconds
    phases: dict[Name, Seconds]


class DeviceSeconds(Part):
    """Every stage that the path needs is charged to it; evaluation never is."""

    path_total: Seconds
    stages: dict[Name, StageCost]


class Tokens(Part):
    """Tokens that a path trained on and sampled."""

    trained: Count | None
    generated: Count | None


class Cost(Part):
    """What a method's path took; padding_share: of the method's own training batches."""

    device_seconds: DeviceSeconds | None
    peak_memory_bytes: Count | None
    padding_share: Annotated[float, Field(ge=0, le=1)] | None
    tokens: Tokens | None


_POINT: dict[str, Any] = dict.fromkeys(
    ("held_out_loss", *(m.probe for m in PROBED), "logratio_chosen", "logratio_rejected"),
    (float | None, None),
)
Point = create_model("Point", __base__=Part, step=(Count, ...), **_POINT)
Point.__doc__ = (
    "What a probe on prompts of its own saw at one step of a training run: shares, nats per "
    "response, log-ratios to the reference on held-out pairs in nats per response."
)


class TrainingRun(Part):
    """The probes of one seed."""

    seed: Count
    points: list[Point]  # type: ignore[valid-type]


class Runs(Part):
    """How the seeds of a method ended."""

    completed: Count
    failed: Count
    collapsed: Count


class _MethodParts(Part):
    cost: Cost
    training: list[TrainingRun]
    runs: Runs
    caveats: list[Text] = Field(default_factory=list)


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
        fields[group] = (create_model(name, __base__=Part, **leaves), ...)
    return fields


MethodResult = create_model("MethodResult", __base__=_MethodParts, **_metric_fields())


class Comparison(Part):
    """difference is a minus b; metric is a dotted path into a method. The rest, which results of an
    older version lack: see ``evaluation.verdicts``."""

    metric: DottedPath
    a: Name
    b: Name
    difference: Estimate | None
    verdict: Text
    headline: bool = False
    p_value: Annotated[float, Field(ge=0, le=1)] | None = None
    p_adjusted: Annotated[float, Field(ge=0, le=1)] | None = None
    excluded: Annotated[float, Field(ge=0)] | None = None


class Check(Part):
    """One check of a reward model; no number or no interval is None."""

    name: Name
    value: float | None
    low: float | None
    high: float | None
    verdict: Literal["ok", "warn", "fail", "n/a"]
    sentence: Text


class Bin(BaseModel):
    """Some pairs: what was claimed of them (confidence or margin) and reached."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False)
    __pydantic_extra__: dict[str, float]

    accuracy: float
    pairs: Count


class RewardModel(Part):
    """What was found in the reward model of one seed that PPO trained against."""

    seed: int
    checks: list[Check]
    calibration: list[Bin]
    by_margin: list[Bin]


class Sample(BaseModel):
    """One prompt and each method's answer; a method's key may be absent."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    __pydantic_extra__: dict[str, Text]

    prompt: Text
    held_out: bool


class Failure(Part):
    """A method that failed under these seeds, and why the first of them did; one that failed under
    every seed stands nowhere else."""

    method: Name
    seeds: Annotated[list[Count], Field(min_length=1)]
    reason: Text


class Recipe(BaseModel):
    """The resolved recipe; its sections belong to the recipe's own contract."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    name: Text


class Results(Part):
    """Results of one comparison: the only thing that tables, pages, dashboards and checks read.
    methods: by name, in reading order."""

    schema_version: Literal[1]
    recipe: Recipe
    provenance: Provenance
    methods: Annotated[dict[Name, MethodResult], Field(min_length=1)]  # type: ignore[valid-type]
    comparisons: list[Comparison]
    reward_models: list[RewardModel] = Field([])
    samples: list[Sample]
    failures: list[Failure] = Field([])


def as_json() -> str:
    """The contents of ``schema.json``."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:rlhf_compare:results:1",
        **Results.model_json_schema(),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(str(files("rlhf_compare.reporting") / "schema.json")).write_text(
        as_json(), encoding="utf-8"
    )
