"""Types that the parts of results.json are made of."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StringConstraints, WithJsonSchema


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected text, got {type(value).__name__}")
    return value


Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
DottedPath = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+(\.[a-z0-9_-]+)*$")]
Count = Annotated[int, Field(ge=0)]
# what people and models wrote may hold half a character, which pydantic's own text refuses
Text = Annotated[str, PlainValidator(_text), WithJsonSchema({"type": "string"})]
Seconds = Annotated[float, Field(ge=0)]


class Part(BaseModel):
    """No unknown key, no conversion, no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
