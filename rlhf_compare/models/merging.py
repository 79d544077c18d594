"""Saves adapters: alone, as PEFT loads them, or merged into one plain model."""

import os
import warnings
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from rlhf_compare.errors import StageFailedError
from rlhf_compare.models.adapter_trial import same_logits, short_logits, undisturbed
from rlhf_compare.models.wrapping import causal_lm


def write_adapter(model: PeftModel, name: str, directory: Path) -> None:
    """One adapter in ``directory`` itself, where ``AutoPeftModelForCausalLM`` looks for it: PEFT
    would put every adapter that is not called "default" into a folder of its name."""
    model.save_pretrained(str(directory), selected_adapters=[name])
    folder = directory / name
    if name != "default" and folder.is_dir():
        for file in folder.iterdir():
            os.replace(file, directory / file.name)
        folder.rmdir()


def merge(model: PeftModel, name: str) -> nn.Module:
    """The base with adapter ``name`` folded in; ``model`` is no PEFT model afterwards.

    Raises:
        StageFailedError: the merged model's logits are not those of the model that was trained.
    """
    base = causal_lm(model)
    with undisturbed(model):
        before = short_logits(model)
    untie(model)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*tie_word_embeddings.*")  # parted by now
        merged: nn.Module = model.merge_and_unload(adapter_names=[name])
    with undisturbed(merged):
        after = short_logits(merged)
    # A merged weight is rounded once, and sums are computed in another order. That allows about a
    # thousand roundings in float32, and in half precision a few roundings of every weight.
    steps = 1000.0 if base.dtype == torch.float32 else 16.0
    if not same_logits(after, before, base.dtype, steps):
        moved = float((after - before).abs().max())
        raise StageFailedError(
            f"the policy with its adapter folded in differs from the trained one by {moved:.3g} in "
            "its logits: nothing was saved but the adapter; leave tied or shared modules out of "
            "target_modules"
        )
    return merged


def untie(model: PeftModel) -> None:
    """Give every module that has an adapter weights of its own.

    An embedding and a head that share one weight would both get what was learnt by either.
    """
    holders: dict[int, int] = {}
    for module in model.modules():
        for parameter in module._parameters.values():
            if parameter is not None:
                holders[id(parameter)] = holders.get(id(parameter), 0) + 1
    parted = False
    for layer in (m for m in model.modules() if isinstance(m, BaseTunerLayer)):
        own = layer.get_base_layer()
        for key, parameter in own._parameters.items():
            if parameter is not None and holders[id(parameter)] > 1:
                holders[id(parameter)] -= 1
                own._parameters[key] = nn.Parameter(parameter.detach().clone(), False)
                holders[id(own._parameters[key])] = 1
                parted = True
    if parted:
        lm = causal_lm(model)
        for config in (lm.config, lm.config.get_text_config()):
            config.tie_word_embeddings = False


def save_merged(model: PeftModel, directory: Path) -> None:
    """The policy as one plain model, its adapter folded in, and the adapter alone beside it.

    Raises:
        StageFailedError: the plain model would not be the policy that was trained.
    """
    adapter = next(iter(model.peft_config))
    write_adapter(model, adapter, directory / "adapter")
    merged: Any = merge(model, adapter)
    merged.save_pretrained(directory)


def save_trained(model: Any, directory: Path, tokenizer: Any, adapted: bool) -> None:
    """What a stage trained, as a plain model with its tokenizer.

    Args:
        adapted: the model is a PEFT model whose adapter was trained.
    """
    if adapted:
        save_merged(model, directory)
    else:
        model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
