"""The transformers model inside its wrappers."""

from typing import Any

from transformers import PreTrainedModel


def causal_lm(model: Any) -> PreTrainedModel:
    """The transformers model itself, without the PEFT wrapper, if there is one."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model
