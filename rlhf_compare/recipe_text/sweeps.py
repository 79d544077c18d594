"""The sections ``tuning:`` and ``frontier:`` of a recipe: which settings a sweep tries."""

from math import prod
from typing import Annotated, Any

from pydantic import Field, model_validator

from rlhf_compare.data.config import Section
from rlhf_compare.methods import METHODS
from rlhf_compare.recipe_text.suggestions import nearest

# field of the method's section -> the values that are tried
Values = Annotated[tuple[Any, ...], Field(min_length=1)]
Grid = Annotated[dict[str, Values], Field(min_length=1)]


class TuningConfig(Section):
    """A search of equal size for every method, and one rule of choice for all."""

    grids: dict[str, Grid]  # method -> its grid; all combinations of the values are tried
    kl_budget: float = Field(default=10.0, gt=0)  # nats per response, mean of exact KL
    adoption: float = Field(default=0.95, gt=0, le=1)  # mean exact adoption that is asked for

    @model_validator(mode="after")
    def _equal_grids(self) -> "TuningConfig":
        require_methods("grids", self.grids)
        sizes = {name: prod(map(len, grid.values())) for name, grid in self.grids.items()}
        if len(set(sizes.values())) > 1:
            listed = ", ".join(f"{name} {size}" for name, size in sizes.items())
            raise ValueError(
                f"grids: the numbers of settings differ ({listed}), so the method with more "
                "would be tuned harder; give every grid as many"
            )
        return self


class FrontierConfig(Section):
    """One knob a method, which trades drift for behaviour."""

    # method -> one field of its section -> values; the recipe's own value is always among them
    knobs: dict[str, Grid] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_knob_each(self) -> "FrontierConfig":
        require_methods("knobs", self.knobs)
        for name, knob in self.knobs.items():
            if len(knob) != 1:
                raise ValueError(
                    f"knobs.{name}: {', '.join(knob)}: a frontier turns one knob a method; keep one"
                )
        return self


def require_methods(field: str, names: Any) -> None:
    """Raises ValueError where one of ``names`` is no method."""
    for name in names:
        if name not in METHODS:
            near = nearest(str(name), METHODS)
            meant = f"; did you mean {near}?" if near else f"; methods are {', '.join(METHODS)}"
            raise ValueError(f"{field}: no method {name!r}{meant}")
