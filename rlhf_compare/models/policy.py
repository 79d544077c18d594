"""Builds and loads the policy, and computes the logits of a response."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase
from transformers.activations import NewGELUActivation

from rlhf_compare.data.turns import turn_ends
from rlhf_compare.errors import RecipeError, first_line
from rlhf_compare.models.config import ModelConfig
from rlhf_compare.models.fit import (
    fit_generation_config,
    fit_tokenizer,
    float32_where_trained,
    generation_fault,
    state_ends,
)
from rlhf_compare.models.stepping import reads_left_padding
from rlhf_compare.models.wrapping import causal_lm
from rlhf_compare.tensors.padding import attention_inputs, to_the_left


def build_policy(config: ModelConfig, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """The policy that SFT starts from: from a configuration (random weights, drawn with torch's
    global generator), a local directory or a hub id. Its weights are float32 whatever
    ``model.dtype`` they were read in, because they train; a pad token that its embedding does not
    hold is taken from the tokenizer.

    Raises:
        RecipeError: nothing loadable is there, or the tokenizer belongs to another model.
    """
    if config.config is None:
        origin = str(config.path or config.hub_id)
        policy = load_policy(origin, config.revision, local=bool(config.path), dtype=config.dtype)
        fit_tokenizer(tokenizer, policy, origin)
        return _to_train(policy, tokenizer)
    values = dict(config.config)
    try:
        model_config = AutoConfig.for_model(values.pop("model_type"), **values)
    except (ValueError, KeyError, TypeError) as error:
        raise RecipeError(f"model.config: {first_line(error)}") from error
    model_config.vocab_size = len(tokenizer)
    model_config.bos_token_id = model_config.eos_token_id = tokenizer.eos_token_id
    model_config.pad_token_id = tokenizer.pad_token_id
    drawn = AutoModelForCausalLM.from_config(model_config, dtype=getattr(torch, config.dtype))
    return _to_train(drawn, tokenizer)


def _to_train(policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """The policy in float32; its generation settings stop where its answers end."""
    float32_where_trained(policy)
    state_ends(policy, turn_ends(tokenizer, policy))
    return policy


def load_policy(
    origin: str | Path,
    revision: str | None = None,
    local: bool = True,
    dtype: str = "auto",
) -> PreTrainedModel:
    """Load a causal language model from a directory or, where ``local`` is False, from the hub.

    Args:
        dtype: "auto" = as it was saved.

    Raises:
        RecipeError: nothing loadable is there.
    """
    model = open_model(AutoModelForCausalLM, origin, "model", revision, local, dtype)
    fit_generation_config(model, origin)
    return model


def open_model(
    kind: Any,
    origin: str | Path,
    field: str,
    revision: str | None = None,
    local: bool = True,
    dtype: str = "auto",
) -> PreTrainedModel:
    """``kind.from_pretrained``; its errors name what is wrong with the files.

    Args:
        kind: one of transformers' Auto classes.
        field: of the recipe, for messages.

    Raises:
        RecipeError: nothing loadable is there.
    """
    where: dict[str, Any] = {"revision": revision, "local_files_only": local}
    config = None
    try:
        config = AutoConfig.from_pretrained(str(origin), **where)
        text = config.get_text_config()
        pad, rows = getattr(text, "pad_token_id", None), getattr(text, "vocab_size", None)
        if pad is not None and rows is not None and pad >= rows:
            # torch refuses an embedding whose padding id is beyond its rows
            text.pad_token_id = None
        return kind.from_pretrained(str(origin), config=config, dtype=dtype, **where)
    except (OSError, ValueError, KeyError, AssertionError) as error:
        if config is not None and (fault := generation_fault(origin, config, **where)):
            raise RecipeError(f"{field}: {fault}") from error
        raise RecipeError(f"{field}: no model in {origin}: {first_line(error)}") from error


def disable_dropout(model: torch.nn.Module) -> None:
    """Set every dropout to 0, so that a forward in train mode equals one in eval mode: modules, and
    the numbers that some architectures drop out or leave layers out by."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name, value in vars(module).items():
            if "drop" in name and isinstance(value, float):
                setattr(module, name, 0.0)


def fuse_activations(model: torch.nn.Module) -> None:
    """Replace GPT-2's GELU, seven operations in Python, by torch's one: the same function of the
    same formula, equal up to rounding, and a fifth of a small model's time on a CPU."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, NewGELUActivation):
                setattr(module, name, torch.nn.GELU(approximate="tanh"))


def hidden_states(model: Any, input_ids: Tensor) -> Tensor:
    """What the language-model head reads: (B, T) ids, padding last -> (B, T, width)."""
    hidden: Tensor = causal_lm(model).base_model(input_ids=input_ids, use_cache=False)[0]
    return hidden


_TEST_SCALE = 1e3


@torch.no_grad()
def has_plain_head(model: Any) -> bool:
    """Whether logits are the head of the hidden states and nothing more.

    Some architectures scale or cap them afterwards; then the head cannot be applied to chosen
    positions alone. This is tested with a forward pass, because no list of architectures is
    complete. The logits are multiplied by 1000, because a cap hardly changes logits near 0.
    """
    lm = causal_lm(model)
    seen: dict[str, Tensor] = {}

    def keep_states(_module: Any, _inputs: Any, output: Any) -> None:
        seen["states"] = output[0]

    def scale_logits(_module: Any, inputs: tuple[Tensor, ...], logits: Tensor) -> Tensor:
        seen["read"], seen["scaled"] = inputs[0], logits * _TEST_SCALE
        return seen["scaled"]

    hooks = [
        lm.base_model.register_forward_hook(keep_states),
        lm.get_output_embeddings().register_forward_hook(scale_logits),
    ]
    try:
        ids = torch.arange(4, device=lm.device).unsqueeze(0)
        logits = lm(input_ids=ids, use_cache=False).logits
    finally:
        for hook in hooks:
            hook.remove()
    if "states" not in seen:  # OPT calls the decoder inside its base model, so the hook never ran
        seen["states"] = hidden_states(model, ids)
    scaled = seen["scaled"].to(logits.dtype)  # mixed precision casts what the model returns
    return torch.equal(seen["read"], seen["states"]) and torch.allclose(scaled, logits)


def response_logits(
    model: torch.nn.Module,
    input_ids: Tensor,
    mask: Tensor,
    response_length: int,
    temperature: float = 1.0,
) -> Tensor:
    """Logits that predict the last ``response_length`` tokens of every row.

    Logits of prompt positions are never computed: at GPT-2's vocabulary they are most of the
    memory and a third of the time.

    Args:
        input_ids: (B, T), prompt left-padded, response right-padded.
        mask: (B, T), True on real tokens.
        temperature: the sampling temperature; divides the logits.

    Returns:
        (B, R, V); row t predicts the t-th response token.
    """
    if reads_left_padding(model):
        logits: Tensor = model(
            input_ids=input_ids,
            logits_to_keep=response_length + 1,
            use_cache=False,
            **attention_inputs(mask),
        ).logits[:, :-1]
    else:  # with the padding last, no real token of a causal model can see it
        ids, _ = to_the_left(input_ids, mask)
        every: Tensor = model(input_ids=ids, use_cache=False).logits
        prompt = mask[:, : mask.shape[1] - response_length].sum(1, keepdim=True)
        place = prompt - 1 + torch.arange(response_length, device=ids.device)
        place = place.clamp(max=ids.shape[1] - 1).unsqueeze(-1)
        logits = every.gather(1, place.expand(-1, -1, every.shape[-1]))
    return logits if temperature == 1.0 else logits / temperature
