"""``model.lora`` held against the model of the recipe, before anything trains."""

import warnings
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import AutoConfig, AutoModelForCausalLM

from rlhf_compare.errors import RecipeError
from rlhf_compare.models.adapters import lora_config
from rlhf_compare.models.config import ModelConfig
from rlhf_compare.models.tokenizer import first_line


def check_adapters(model: ModelConfig, dpo: bool = False) -> None:
    """Put the adapters on a model of the same shape without weights: a target that the model has
    not is found, and one that a method cannot train.

    Args:
        dpo: whether a DPO policy will be trained.

    Raises:
        RecipeError: names the field and the way out.
    """
    config = lora_config(model.lora)
    architecture = _architecture(model)
    if config is None or architecture is None:
        return
    try:
        head = _adapted_head(config, architecture)
    except (ValueError, TypeError, RuntimeError, NotImplementedError) as error:
        raise RecipeError(f"model.lora.target_modules: {first_line(error)}") from error
    if head is not None and dpo:
        raise RecipeError(
            f"model.lora.target_modules: {head}: DPO reads the head's own weights, so an adapter "
            "on it would never train; leave it out"
        )


def _architecture(model: ModelConfig) -> Any:
    """The model's configuration; None where a hub must be asked or it is refused elsewhere."""
    try:
        if model.config is not None:
            values = dict(model.config)
            return AutoConfig.for_model(values.pop("model_type"), **values)
        if model.path is not None:
            return AutoConfig.from_pretrained(model.path, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _adapted_head(config: LoraConfig, architecture: Any) -> str | None:
    """The name of the language-model head where the adapters go on it too."""
    with torch.device("meta"), torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        base = AutoModelForCausalLM.from_config(architecture)
        names = {id(module): name for name, module in base.named_modules()}
        name = names.get(id(base.get_output_embeddings()), "the head")
        adapted = get_peft_model(base, config).get_base_model()
    return name if isinstance(adapted.get_output_embeddings(), BaseTunerLayer) else None
