"""Comparisons at equal things in results.json; their rules: ``rlhf_compare.evaluation.equal``."""

from statistics import fmean
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rlhf_compare.reporting.schema_types import Count, FaultError, Name, Part, Text

Quantity = Literal["adoption", "kl", "seconds", "samples"]
Probability = Annotated[float, Field(ge=0, le=1)]


class Gap(Part):
    """A difference paired by seed and its 95 % interval over seeds, of which there is none below
    three seeds."""

    mean: float
    low: float | None
    high: float | None
    seeds: Annotated[int, Field(ge=1)]
    p_value: Probability | None

    @property
    def interval(self) -> tuple[float, float] | None:
        return None if self.low is None or self.high is None else (self.low, self.high)


class Equal(Part):
    """Two methods where they are equal in ``at``: exact adoption (probability), KL (nats per
    response), device seconds after SFT, or samples. by_seed: the quantity of each method in the
    order of ``seeds``, null where a run never came to the level; difference: a less b."""

    at: Quantity
    level: Annotated[float, Field(ge=0)]
    quantity: Quantity
    a: Name
    b: Name
    seeds: list[Count]
    by_seed: dict[Name, list[float | None]]
    difference: Gap | None
    verdict: Text
    p_adjusted: Probability | None

    @property
    def winner(self) -> str | None:
        """The method that is shown to be higher in the quantity; None where no difference was."""
        return next((name for name in (self.a, self.b) if self.verdict == f"{name} higher"), None)

    def both(self, name: str) -> list[float]:
        """A method's numbers of the seeds in which both came to the level."""
        pairs = zip(self.by_seed[name], self.by_seed[self.a], self.by_seed[self.b], strict=True)
        return [own for own, a, b in pairs if own is not None and a is not None and b is not None]

    def mean(self, name: str) -> float | None:
        """Over the seeds in which both came to the level; None where there is none."""
        return fmean(self.both(name)) if self.both(name) else None

    def reached(self, name: str) -> int:
        """In how many seeds a method came to the level."""
        return sum(value is not None for value in self.by_seed[name])

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.by_seed.keys() != {self.a, self.b}:
            raise FaultError("by_seed", f"its methods are not {self.a} and {self.b}")
        for name, values in self.by_seed.items():
            if len(values) != len(self.seeds):
                problem = f"{len(values)} numbers of {len(self.seeds)} seeds"
                raise FaultError(f"by_seed.{name}", problem)
        if self.winner is not None:
            gap = self.difference
            interval = None if gap is None else gap.interval
            low, high = interval or (0.0, 0.0)
            if not (low > 0 if self.winner == self.a else high < 0):
                raise FaultError(
                    "verdict", f"{self.verdict!r}, but the interval of a - b is [{low}, {high}]"
                )
        return self
