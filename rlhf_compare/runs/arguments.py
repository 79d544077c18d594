"""A recipe's stage sections take the fields of a trainer's own config class, under their names."""

import dataclasses
import types
import typing
from collections.abc import Callable, Collection, Mapping
from enum import Enum
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator
from pydantic.fields import FieldInfo

from rlhf_compare.errors import RecipeError, first_line

T = TypeVar("T")

# The pipeline sets these fields, so a recipe may not; the text says what to use instead.
OWNED = {
    "output_dir": "the run directory is runs/<recipe>/<stage>",
    "seed": "use SEEDS or --seeds",
    "data_seed": "use SEEDS or --seeds",
    "report_to": "use tracking.wandb",
    "run_name": "runs are named by recipe, stage and seed",
    "disable_tqdm": "every stage shows one bar",
    "max_length": "use data.max_length",
    "remove_unused_columns": "the data layer gives each stage its columns",
    "push_to_hub": "nothing is uploaded",
    "model_init_kwargs": "use model:",
    "trust_remote_code": "never on",
    "chat_template_path": "use task.template",
    "logging_nan_inf_filter": "a NaN loss always stops the stage",
    "resume_from_checkpoint": "a finished stage is not run again",
}

NO_INTERVAL = 2**31  # steps; turns off the Trainer's own schedule: ProbeSchedule says when

# bounds of the fields that the libraries own
_POSITIVE = {
    "per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps",
    "num_train_epochs", "beta", "logging_steps", "temperature", "num_generations",
    "max_completion_length",
}  # fmt: skip
_NOT_NEGATIVE = {
    "learning_rate", "weight_decay", "adam_epsilon", "max_grad_norm", "warmup_steps",
    "label_smoothing", "center_rewards_coefficient",
}  # fmt: skip
_UNIT = {"adam_beta1", "adam_beta2"}


class StageSection(BaseModel):
    """Fields given in the recipe, checked against the trainer's config class; nothing else."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    defaults: ClassVar[Mapping[str, Any]] = {}  # of the trainer's config class

    @model_validator(mode="before")
    @classmethod
    def _one_is_a_list_of_one(cls, values: Any) -> Any:
        return lists_from_scalars(cls, values)

    def set_fields(self) -> dict[str, Any]:
        """The fields that the recipe sets."""
        return {name: getattr(self, name) for name in sorted(self.model_fields_set)}

    def value(self, name: str) -> Any:
        """What the recipe sets, or else the default of the trainer's config class."""
        return self.set_fields().get(name, self.defaults.get(name))


def lists_from_scalars(section: type[BaseModel], values: Any) -> Any:
    """``loss_type: ipo`` where a list is meant is a list of one."""
    if not isinstance(values, dict):
        return values
    fields = section.model_fields
    return {
        name: [value]
        if name in fields and isinstance(value, str | int | float) and _is_list(fields[name])
        else value
        for name, value in values.items()
    }


def _is_list(field: FieldInfo) -> bool:
    """Whether a field takes lists and nothing else but None."""
    annotation = field.annotation
    united = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    parts = typing.get_args(annotation) if united else (annotation,)
    kinds = [typing.get_origin(part) or part for part in parts if part is not type(None)]
    return bool(kinds) and all(kind in (list, tuple) for kind in kinds)


def section_of(config_class: type, name: str, without: Collection[str] = ()) -> type[StageSection]:
    """A strict recipe section with the fields and types of a trainer's config dataclass.

    Args:
        without: fields that no trainer reads: a recipe that sets one is refused.

    A field's bounds stand in its type (``Annotated[int, Gt(0)]``), or, for the libraries' own
    fields, here. They do not stand in its metadata, which ``HfArgumentParser`` gives to argparse.
    """
    hints = typing.get_type_hints(config_class, include_extras=True)
    fields: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    for field in dataclasses.fields(config_class):
        if not field.init or field.name in OWNED or field.name in without:
            continue
        hint = hints[field.name]
        fields[field.name] = (hint, Field(default=None, **_bounds(field.name, hint)))
        defaults[field.name] = _default(field)
    section = create_model(name, __base__=StageSection, **fields)
    section.defaults = defaults
    return section


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def effective_settings(args: Any) -> dict[str, Any]:
    """What a trainer was built with, its defaults included, under a recipe's names, as JSON.

    The pipeline's own fields are left out, and tokens of accounts.
    """
    values = {
        field.name: getattr(args, field.name)
        for field in dataclasses.fields(args)
        if field.init and field.name not in OWNED and field.name != "hub_token"
    }
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _bounds(name: str, hint: Any) -> dict[str, Any]:
    """Of a field whose type states none."""
    if any(typing.get_origin(part) is Annotated for part in (hint, *typing.get_args(hint))):
        return {}
    if name in _POSITIVE:
        return {"gt": 0}
    if name in _NOT_NEGATIVE:
        return {"ge": 0}
    return {"ge": 0, "le": 1} if name in _UNIT else {}


def refused_as(stage: str, build: Callable[..., Any]) -> Callable[..., Any]:
    """``build``, whose refusals of values become a recipe's error: one line with the stage."""

    def built(*args: Any, **kwargs: Any) -> Any:
        try:
            return build(*args, **kwargs)
        except ValueError as error:
            raise RecipeError(f"{stage}: {first_line(error)}") from error

    return built


def build_arguments(
    config_class: Callable[..., T],
    section: StageSection,
    stage: str,
    output_dir: str,
    seed: int,
    **ours: Any,
) -> T:
    """The trainer's config object of one run.

    Args:
        ours: defaults of this project; the recipe's fields win over them.

    Raises:
        RecipeError: the config class refuses the values.
    """
    import torch  # here: the names of a recipe are checked before any training library loads

    values: dict[str, Any] = {
        # TRL's own default is bf16 wherever fp16 is off, which on a CPU is slow and inexact
        "bf16": torch.cuda.is_available() and torch.cuda.is_bf16_supported(),
        "save_strategy": "no",
        **ours,
        **section.set_fields(),
        "output_dir": output_dir,
        "seed": seed,
        "report_to": "none",
        "disable_tqdm": True,
        "logging_nan_inf_filter": False,
    }
    if values.get("fp16"):
        values["bf16"] = False
    try:
        return config_class(**values)
    except (ValueError, TypeError, KeyError, ImportError) as error:
        raise RecipeError(f"{stage}: {first_line(error)}") from error
