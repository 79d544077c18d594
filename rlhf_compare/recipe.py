"""A recipe: one strict, typed object from a YAML file and overrides. One file = one experiment."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

from pydantic import (
    BaseModel,
    Field,
    StringConstraints,
    ValidationError,
    create_model,
    model_validator,
)

from rlhf_compare.data.config import MAX_SEED, DataConfig, Feed, Section, SourceConfig, TaskConfig
from rlhf_compare.errors import RecipeError
from rlhf_compare.evaluation.config import EvaluationConfig
from rlhf_compare.methods import METHODS, load_method
from rlhf_compare.models.config import ModelConfig
from rlhf_compare.recipe_text.fields import SECTIONS, owned_hint
from rlhf_compare.recipe_text.reading import blame, read_recipe
from rlhf_compare.recipe_text.suggestions import did_you_mean, nearest
from rlhf_compare.recipe_text.sweeps import FrontierConfig, TuningConfig
from rlhf_compare.reporting.numbers import display_name
from rlhf_compare.reward.config import RewardSection
from rlhf_compare.runs.arguments import StageSection, lists_from_scalars
from rlhf_compare.runs.config import TrackingConfig
from rlhf_compare.runs.method import Method
from rlhf_compare.sft.config import SFTSection

# each names a directory beside the stages' own, and a column of the report
VariantName = Annotated[
    str, StringConstraints(pattern=rf"^({'|'.join(METHODS)})_[a-z0-9_]{{1,24}}$")
]


class Variant(Section):
    """A method once more, under other settings: one more column of the report."""

    method: str
    settings: dict[str, Any] = Field(
        default_factory=dict
    )  # fields of the method's section that differ from it


class _Shared(Section):
    """What every recipe has, whatever methods there are."""

    # a run's directory is named after it, so it may not leave the run root
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    seed: int = Field(default=0, ge=0, le=MAX_SEED)  # of SFT, which all methods share
    data: DataConfig = DataConfig()
    task: TaskConfig = TaskConfig()
    model: ModelConfig
    sft: SFTSection = SFTSection()
    reward: RewardSection = RewardSection()  # type: ignore[valid-type]
    evaluation: EvaluationConfig = EvaluationConfig()
    tracking: TrackingConfig = TrackingConfig()
    variants: dict[VariantName, Variant] = Field(default_factory=dict)
    tuning: TuningConfig | None = None  # of `make tune`; no stage reads it
    frontier: FrontierConfig | None = None  # of `make frontier`; no stage reads it

    @model_validator(mode="before")
    @classmethod
    def _one_is_a_list_of_one(cls, values: Any) -> Any:
        ours: dict[str, type[BaseModel]] = {"data": DataConfig, "evaluation": EvaluationConfig}
        return {
            name: lists_from_scalars(ours[name], value) if name in ours else value
            for name, value in values.items()
        }

    @model_validator(mode="after")
    def _what_is_given_is_there(self) -> "_Shared":
        if self.sft_is_given and self.model.config is not None:
            raise ValueError(
                "sft.given: true, but model.config draws new weights, so nothing was given; name a "
                "model (model.path or model.hub_id), or train one (sft.given=null)"
            )
        return self

    @model_validator(mode="after")
    def _variants_are_sections(self) -> "_Shared":
        for name, variant in self.variants.items():
            if not name.startswith(f"{variant.method}_"):
                raise ValueError(f"variants.{name}: name it {variant.method}_..., as its method")
            if variant.method not in self._compared:
                raise ValueError(
                    f"variants.{name}: the recipe has no section {variant.method}, which it is a "
                    f"variant of; add one (`{variant.method}: {{}}` takes every default)"
                )
            try:
                self.section(name)
            except ValidationError as error:
                field = error.errors()[0]["loc"][0]
                fault = _explain({**error.errors()[0], "loc": (variant.method, field)})
                raise ValueError(f"variants.{name}.settings: {fault}") from error
        return self

    @property
    def sft_is_given(self) -> bool:
        """Whether the model that all start from is instruction-tuned already: nothing trains it."""
        return bool(self.sft.given)

    @property
    def _compared(self) -> tuple[str, ...]:
        """The methods whose sections stand in the recipe."""
        return tuple(name for name in METHODS if getattr(self, name, None) is not None)

    @property
    def methods(self) -> tuple[str, ...]:
        """Every column of the report, SFT first, each variant behind its method."""
        names = [[m, *(v for v in self.variants if self.base(v) == m)] for m in self._compared]
        return ("sft", *(name for group in names for name in group))

    def base(self, method: str) -> str:
        """The method that a variant is one of; of others, themselves."""
        return self.variants[method].method if method in self.variants else method

    def method(self, name: str) -> Method:
        """What a column of the report is, a variant's being its method's."""
        return load_method(self.base(name))

    def label(self, name: str) -> str:
        """What the report calls a column: what is trained, and what a variant calls itself."""
        if name == "sft" and self.sft_is_given:
            return f"{display_name(name)} (given)"
        if name not in self.methods[1:]:
            return display_name(name)
        method, base = self.method(name), self.base(name)
        plain = display_name(base)
        trained = method.label(self.section(name)) if method.label else plain
        own = name.removeprefix(base).strip("_").replace("_", " ")
        if not own or own == " ".join(re.findall("[a-z0-9]+", trained.lower())):
            return trained
        return f"{trained} {own}" if trained == plain else f"{trained} ({own})"

    def path(self, name: str) -> tuple[str, ...]:
        """The stages that a column pays for, in order, its own the last."""
        return ("sft",) if name == "sft" else (*self.method(name).needs, name)

    def feeds(self, names: Sequence[str]) -> dict[str, Feed]:
        """Every stage of these columns' paths that learns from rows -> their kind."""
        shared: dict[str, Feed | None] = {
            "sft": None if self.sft_is_given else "demonstrations",
            "reward": "rankings",
        }
        stages = dict.fromkeys(stage for name in names for stage in self.path(name))
        feeds = {s: shared[s] if s in shared else self.method(s).feed for s in stages}
        return {stage: feed for stage, feed in feeds.items() if feed is not None}

    def section(self, method: str) -> StageSection:
        """The settings of a stage or a method; a variant's are its method's with its own on top."""
        base: StageSection = getattr(self, self.base(method))
        if method not in self.variants:
            return base
        return type(base).model_validate({**base.set_fields(), **self.variants[method].settings})

    def resolved(self) -> dict[str, Any]:
        """As plain JSON: all our own fields, and the trainers' fields that the recipe sets."""
        values = {n: getattr(self, n) for n in SECTIONS if getattr(self, n, None) is not None}
        return {
            **{
                name: value.model_dump(mode="json", exclude_unset=isinstance(value, StageSection))
                if isinstance(value, BaseModel)
                else value
                for name, value in values.items()
            },
            "variants": {name: v.model_dump(mode="json") for name, v in self.variants.items()},
        }


if TYPE_CHECKING:
    Recipe = _Shared
else:  # a method is compared if its section stands in the recipe
    Recipe = create_model(
        "Recipe",
        __base__=_Shared,
        **{name: (load_method(name).section | None, None) for name in METHODS},
    )


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply overrides of the form ``section.field=value``.

    Raises:
        RecipeError: one line per fault, each with the field, the value and the way out.
    """
    values, given = read_recipe(path, overrides)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        lines = [
            blame(path, given, [str(part) for part in fault["loc"]], _explain(fault))
            for fault in error.errors()
        ]
        raise RecipeError("\n".join(dict.fromkeys(lines))) from error


def _explain(fault: Any) -> str:
    """A pydantic fault in one line."""
    location = [part for part in fault["loc"] if isinstance(part, str)]
    # unions add the tried type to the path; a field's own path is as deep as the recipe
    location = location[:1] if len(location) == 1 else location[:2]
    field = ".".join(location) or "recipe"
    if fault["type"] == "extra_forbidden":
        if location == ["data", "sources"]:
            key = str(fault["loc"][-1])
            near = nearest(key, SourceConfig.model_fields)
            return f"{field}: unknown key {key}" + (f"; did you mean {near}?" if near else "")
        return f"{field}: unknown key{_suggest(location)}"
    if fault["type"] == "missing":
        return f"{field}: missing"
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "value_error" and not location:
        return str(message)
    if fault["type"] == "value_error":
        return f"{field}: {message}" if len(location) > 1 else f"{field}.{message}"
    return f"{field}: {message[0].lower()}{message[1:]}, got {fault['input']!r}"


def _suggest(location: list[str]) -> str:
    fields: Any = Recipe.model_fields
    if len(location) == 2:
        hint = owned_hint(*location)
        if hint:
            return f": {hint}"
        annotation = fields[location[0]].annotation
        options = [part for part in get_args(annotation) if part is not type(None)]
        fields = (options[0] if options else annotation).model_fields
    return did_you_mean(tuple(location), fields)
