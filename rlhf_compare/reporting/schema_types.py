"""Types that the parts of results.json are made of."""

from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected text, got {type(value).__name__}")
    return value


class FaultError(ValueError):
    """A fault that spans several fields of a part; `path`: the field to blame, empty for all."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(problem)
        self.path = path


Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
DottedPath = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+(\.[a-z0-9_-]+)*$")]
Count = Annotated[int, Field(ge=0)]
# what people and models wrote may hold half a character, which pydantic's own text refuses
Text = Annotated[str, PlainValidator(_text), WithJsonSchema({"type": "string"})]
Seconds = Annotated[float, Field(ge=0)]


class Part(BaseModel):
    """No unknown key, no conversion, no NaN. A part is written with its keys in the order in which
    they were given, so that a file that is read and written again stays the same."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _keep_order(cls, given: Any, make: ModelWrapValidatorHandler[Self]) -> Self:
        part = make(given)
        if isinstance(given, dict):
            fields = dict(part.__dict__)
            part.__dict__.clear()
            part.__dict__.update({key: fields[key] for key in given if key in fields})
            part.__dict__.update(fields)
        return part
