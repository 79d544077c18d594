"""The form of results.json as types; ``schema.json`` is made from them.

    python -m rlhf_compare.reporting.schema    writes schema.json anew; a test holds the two equal

An object of these types keeps the whole contract, what spans several parts included: comparisons
name methods and metrics that exist, and no verdict claims more than its interval shows.
"""

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from rlhf_compare.metrics import BY_PATH
from rlhf_compare.reporting.equal_schema import Equal
from rlhf_compare.reporting.method_schema import Estimate, MethodResult
from rlhf_compare.reporting.provenance_schema import Provenance
from rlhf_compare.reporting.schema_types import Count, DottedPath, FaultError, Name, Part, Text

NO_DIFFERENCE = "no difference shown"
NOT_DECIDED = ("one seed: not decided", "two seeds: not decided")


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

    @property
    def winner(self) -> str | None:
        """The method that is shown to be higher; None where no difference was shown."""
        return next((name for name in (self.a, self.b) if self.verdict == f"{name} higher"), None)

    @model_validator(mode="after")
    def _compares_two_methods_by_a_metric(self) -> Self:
        if self.metric not in BY_PATH:
            raise FaultError("metric", f"{self.metric!r} is no metric")
        if self.a == self.b:
            raise FaultError("", f"compares {self.a!r} with itself")
        return self

    @model_validator(mode="after")
    def _verdict_follows_from_the_interval(self) -> Self:
        """A method is higher only where the interval of a - b says so."""
        if self.winner is None:
            undecided = (NO_DIFFERENCE, *NOT_DECIDED)
            if self.verdict not in undecided:
                words = " or ".join(map(repr, undecided))
                allowed = f"'{self.a} higher', '{self.b} higher' or {words}"
                raise FaultError("verdict", f"{self.verdict!r} is not {allowed}")
            return self
        if self.difference is None:
            raise FaultError("verdict", f"{self.verdict!r}, but no difference was measured")
        low, high = self.difference.low, self.difference.high
        shown = low is None or high is None or (low > 0 if self.winner == self.a else high < 0)
        if not shown:
            interval = f"the interval of a - b is [{low}, {high}]"
            raise FaultError("verdict", f"{self.verdict!r}, but {interval}")
        return self


class WinRate(Part):
    """How often a judge prefers a's answers to b's; 0.5 is a draw. For the fields see
    ``evaluation.win_rates``; excluded: in "no difference shown", a share further from 0.5 than this
    lies outside the 95 % interval."""

    a: Name
    b: Name
    judge: DottedPath
    share: Estimate
    ties: Estimate | None
    consistent: Estimate | None
    verdict: Text
    headline: bool = False
    p_value: Annotated[float, Field(ge=0, le=1)] | None = None
    p_adjusted: Annotated[float, Field(ge=0, le=1)] | None = None
    excluded: Annotated[float, Field(ge=0)] | None = None

    @property
    def winner(self) -> str | None:
        """The method whose answers are shown to be preferred; None where that was not shown."""
        sides = (self.a, self.b)
        return next((name for name in sides if self.verdict == f"{name} preferred"), None)

    @model_validator(mode="after")
    def _verdict_follows_from_the_interval(self) -> Self:
        if self.a == self.b:
            raise FaultError("", f"compares {self.a!r} with itself")
        low, high = self.share.interval or (0.0, 1.0)
        if self.winner is None and self.verdict not in (NO_DIFFERENCE, *NOT_DECIDED):
            raise FaultError("verdict", f"{self.verdict!r} names no side and is no known verdict")
        if self.winner is not None and not (low > 0.5 if self.winner == self.a else high < 0.5):
            interval = f"the interval of a's share is [{low}, {high}]"
            raise FaultError("verdict", f"{self.verdict!r}, but {interval}")
        return self


class Judge(Part):
    """How often a judge orders held-out pairs as their labels do, a tie counting one half.

    words: which it is, where its name does not say so; reason: why it did not judge; consistent:
    pairs on which both orders of the two responses gave one verdict, of a judge that reads both.
    """

    judge: DottedPath
    accuracy: Estimate | None
    ties: Estimate | None
    consistent: Estimate | None
    words: Text = ""
    reason: Text = ""


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

    @property
    def confidence(self) -> float:
        """Mean sigmoid of the difference of scores; of the bins of the calibration alone."""
        return self.__pydantic_extra__["confidence"]

    @model_serializer(mode="wrap")
    def _sorted(self, make: SerializerFunctionWrapHandler) -> dict[str, float]:
        return dict(sorted(make(self).items()))  # as the reward stage writes them


class RewardModel(Part):
    """What was found in the reward model of one seed that PPO trained against."""

    seed: int
    checks: list[Check]
    calibration: list[Bin]
    by_margin: list[Bin]

    @model_validator(mode="after")
    def _calibration_has_confidence(self) -> Self:
        for index, one in enumerate(self.calibration):
            if "confidence" not in one.__pydantic_extra__:
                raise FaultError(f"calibration[{index}].confidence", "Field required")
        return self


class Sample(BaseModel):
    """One prompt and each method's answer; a method's key may be absent."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    __pydantic_extra__: dict[str, Text]

    prompt: Text
    held_out: bool

    @property
    def answers(self) -> dict[str, str]:
        """By method, in the order of the file."""
        return dict(self.__pydantic_extra__)


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

    @property
    def sections(self) -> dict[str, Any]:
        """Everything but the name."""
        return dict(self.__pydantic_extra__ or {})


class Results(Part):
    """Results of one comparison: the only thing that tables, pages, dashboards and checks read.
    methods: by name, in reading order."""

    schema_version: Literal[1]
    recipe: Recipe
    provenance: Provenance
    methods: Annotated[dict[Name, MethodResult], Field(min_length=1)]
    comparisons: list[Comparison]
    win_rates: list[WinRate] = Field([])
    judges: list[Judge] = Field([])
    equal: list[Equal] = Field([])
    reward_models: list[RewardModel] = Field([])
    samples: list[Sample]
    failures: list[Failure] = Field([])

    @model_validator(mode="after")
    def _names_only_its_own_methods(self) -> Self:
        rows_of: dict[str, Sequence[Comparison | WinRate | Equal]] = {
            "comparisons": self.comparisons,
            "win_rates": self.win_rates,
            "equal": self.equal,
        }
        for part, rows in rows_of.items():
            for index, row in enumerate(rows):
                for side, name in (("a", row.a), ("b", row.b)):
                    if name not in self.methods:
                        problem = f"no method {name!r}; there are {', '.join(self.methods)}"
                        raise FaultError(f"{part}[{index}].{side}", problem)
        for index, sample in enumerate(self.samples):
            for name in sample.answers:
                if name not in self.methods:
                    raise FaultError(f"samples[{index}].{name}", "an answer by no known method")
        return self


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
