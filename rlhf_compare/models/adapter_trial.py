"""Tests with forward passes whether an adapter can be switched off and on again.

A LoRA configuration can change the base in many ways: initialisations that move the base weights,
copied layers, biases or whole modules that train beside the low-rank matrices. No list of these
ways is complete. So the model is tested with one short batch: without the adapter, with the adapter
off, with the adapter on, and again after the adapter's weights were changed.
"""

import copy
import dataclasses
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from peft import LoraConfig, PeftType, get_peft_model
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from rlhf_compare.errors import first_line
from rlhf_compare.models.wrapping import causal_lm

if TYPE_CHECKING:
    from rlhf_compare.models.adapters import AdapterSwitch

_MOVED = "with the adapter off the model is not the one that was loaded, which is the reference"
_STARTS_ELSEWHERE = "with the adapter on the model is another one before anything was learnt"
_STAYS = "what trains would change the model with the adapter off as well, which is the reference"
_BESIDE = "modules would train beside the low-rank matrices, and stay with the adapter off"
_UNREAD = "the adapter acts only inside PEFT's own forward, which is not the one that trains here"
_SHIFT = 0.05
_NEUTRAL = ("r", "target_modules", "task_type", "inference_mode")  # or checked elsewhere


def kind_fault(config: Any) -> str | None:
    """Why adapters of this kind cannot be trained here at all; None for low-rank adapters.

    Other kinds (learnt prompts, rescaled activations, other decompositions) have other layers,
    which are not switched, saved or merged here.
    """
    if isinstance(config, LoraConfig) and config.peft_type == PeftType.LORA:
        return None
    kind = type(config).__name__
    return f"{kind}: only low-rank adapters can be trained here; give a peft.LoraConfig"


@contextmanager
def undisturbed(*models: nn.Module) -> Iterator[None]:
    """Inside, the models are in evaluation mode and no gradient is kept; afterwards every module's
    mode and the random generators are as they were."""
    modes = [(m, m.training) for model in models for m in model.modules()]
    for model in models:
        model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng():
            yield
    finally:
        for module, training in modes:
            module.training = training


def short_logits(model: Any) -> Tensor:
    """Logits of a short batch, float32: (2, 6, V). ``model`` is a causal language model or a PEFT
    model of one. PEFT's own forward is not used: see :class:`AdapterSwitch`."""
    lm = causal_lm(model)
    logits: Tensor = lm(input_ids=_short_ids(lm), use_cache=False).logits
    return logits.float()


def _short_ids(lm: Any) -> Tensor:
    words: int = lm.get_input_embeddings().weight.shape[0]
    return (torch.arange(12, device=lm.device) * 7 % words).view(2, 6)


def same_logits(a: Tensor, b: Tensor, dtype: torch.dtype, steps: float = 8.0) -> bool:
    """Whether logits differ by rounding alone: by ``steps`` roundings of ``dtype`` at the size of
    the largest logit."""
    size = float(b.abs().max()) if b.numel() else 0.0
    bound = steps * torch.finfo(dtype).eps * max(size, 1e-6)
    return a.shape == b.shape and torch.allclose(a, b, rtol=0.0, atol=bound, equal_nan=True)


def adapter_fault(
    adapters: "AdapterSwitch", name: str, before: Tensor | None, new: bool = True
) -> str | None:
    """Why adapter ``name`` cannot be switched off and on again; None if it can.

    Args:
        before: :func:`short_logits` of the base before it had an adapter; None = unknown.
        new: False = it may have been trained already and may start elsewhere.
    """
    model = adapters.model
    dtype = causal_lm(model).dtype
    if any(isinstance(module, AuxiliaryTrainingWrapper) for module in model.modules()):
        return _BESIDE
    with undisturbed(model):
        with adapters.active(None):
            off = short_logits(model)
        if before is not None:
            if not same_logits(off, before, dtype):
                return _MOVED
            with adapters.active(name):
                on = short_logits(model)
            # DoRA divides norms by norms, so its roundings are larger
            if new and not same_logits(on, before, dtype, steps=64.0):
                return _STARTS_ELSEWHERE
        return _fault_once_moved(adapters, name, off)


def _fault_once_moved(adapters: "AdapterSwitch", name: str, off: Tensor) -> str | None:
    """The same tests after every trainable weight was changed; the weights are restored."""
    model, fault = adapters.model, None
    trained = [p for p in model.parameters() if p.requires_grad]
    kept = [p.detach().clone() for p in trained]
    try:
        for parameter in trained:
            parameter.add_(_SHIFT)
        with adapters.active(None):
            if not torch.equal(short_logits(model), off):
                fault = _STAYS
        with adapters.active(name):
            own = model(input_ids=_short_ids(causal_lm(model)), use_cache=False).logits.float()
            if fault is None and not torch.equal(own, short_logits(model)):
                fault = _UNREAD
    finally:
        for parameter, value in zip(trained, kept, strict=True):
            parameter.copy_(value)
    return fault


# --- before there is a model


def configuration_fault(config: LoraConfig, switch_of: Any, new: bool = True) -> str | None:
    """Why adapters of this configuration could not be taken off, tried on a small stand-in model.

    Args:
        switch_of: makes :class:`AdapterSwitch` of a PEFT model and an adapter's name.
        new: False = the adapters exist already, so their initialisation does not matter.

    Returns:
        One line that names the field, what it must be and what it is; None if nothing is wrong.
    """
    why = _tried(config, switch_of, new)
    if why is None:
        return None
    usual = LoraConfig()
    if fault := _tried(LoraConfig(r=config.r), switch_of, new):
        return f"r: {config.r}: {fault}"
    for field in dataclasses.fields(config):
        name, given = field.name, getattr(config, field.name)
        if name in _NEUTRAL or given == getattr(usual, name, None):
            continue
        alone = LoraConfig(r=config.r)
        setattr(alone, name, given)
        fault = _tried(alone, switch_of, new)
        if fault is not None:
            return f"{name}: must be {getattr(usual, name, None)}, got {given}: {fault}"
    return why


def _tried(config: LoraConfig, switch_of: Any, new: bool) -> str | None:
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            torch.manual_seed(0)
            base = _stand_in(config.r)
            with undisturbed(base):
                before = short_logits(base)
            model = get_peft_model(base, _on_stand_in(config), adapter_name="tried")
            return adapter_fault(switch_of(model, "tried"), "tried", before, new)
        except Exception as error:  # training would raise the same error later
            return first_line(error)


def _stand_in(rank: int) -> LlamaForCausalLM:
    width = 16 * max(1, -(-rank // 16))  # as wide as the rank, so that every factorisation exists
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=32, hidden_size=width, intermediate_size=width, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=16,
            initializer_range=0.2,
            attention_bias=True, mlp_bias=True,
        )
    )  # fmt: skip


def _on_stand_in(config: LoraConfig) -> LoraConfig:
    """The configuration, with the names of model parts replaced by those of the stand-in."""
    ours = copy.deepcopy(config)
    ours.task_type, ours.inference_mode = "CAUSAL_LM", False
    ours.target_modules = {"q_proj", "down_proj"}
    ours.exclude_modules = ours.layers_to_transform = ours.layers_pattern = None
    ours.rank_pattern, ours.alpha_pattern = {}, {}
    renamed: dict[str, Any] = {
        "modules_to_save": ["norm"],
        "trainable_token_indices": [0],
        "layer_replication": [(0, 2), (1, 2)],
        "alora_invocation_tokens": [7],
        "target_parameters": None,
    }
    for name, value in renamed.items():
        if getattr(ours, name, None):
            setattr(ours, name, value)
    return ours
