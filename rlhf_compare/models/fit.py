"""Checks and corrections that a model needs, when it is loaded, to be trained and saved.

A save, a batch or an optimizer step would refuse the same faults hours later.
"""

import copy
import logging
import re
from collections.abc import Collection
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from transformers import GenerationConfig, PreTrainedModel

from rlhf_compare.data.control import control_tokens
from rlhf_compare.data.turns import opening_of, template_end
from rlhf_compare.errors import RecipeError
from rlhf_compare.models.positions import position_limit, position_limit_of_config, text_limit
from rlhf_compare.models.wrapping import causal_lm

__all__ = [
    "fit_generation_config",
    "fit_tokenizer",
    "float32_where_trained",
    "generation_fault",
    "in_one_precision",
    "position_limit",
    "position_limit_of_config",
    "state_ends",
    "text_limit",
]

logger = logging.getLogger(__name__)

_ISSUE = re.compile(r"^- `(\w+)`: (.*)$", re.MULTILINE)


def fit_generation_config(model: Any, origin: object) -> None:
    """Make the generation settings of ``model`` such that ``save_pretrained`` writes them.

    Many published models carry a temperature or a nucleus without ``do_sample``. transformers reads
    such settings, and writes them back only if nothing changed them; training changes them, when it
    aligns the ids of special tokens. So sampling fields switch sampling on, what then still has no
    effect is left out, and settings that stand in the model's configuration move to where they
    belong. None of this reaches training: responses are sampled by code of our own.

    Args:
        origin: where the model comes from, for messages.

    Raises:
        RecipeError: the settings contradict each other in a way that only their author can
            mend.
    """
    settings = getattr(model, "generation_config", None)
    if settings is None:
        return
    _move_from_config(model.config, settings)
    if settings.pad_token_id is not None and settings.pad_token_id < 0:
        settings.pad_token_id = None
    # many files write greedy decoding as temperature 0, which no sampler accepts
    greedy = settings.temperature == 0
    if greedy:
        settings.temperature, settings.do_sample = None, False
    try:
        if not greedy and _without_effect(settings) and settings.do_sample is not True:
            sampling = copy.deepcopy(settings)
            sampling.do_sample = True
            if len(_without_effect(sampling)) < len(_without_effect(settings)):
                settings.do_sample = True
        for name in _without_effect(settings):
            setattr(settings, name, None)
        settings.validate(strict=True)
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RecipeError(
            f"model: the generation settings of {origin} cannot be saved: {reason}; mend its "
            "generation_config.json"
        ) from error


def generation_fault(origin: object, config: Any, **where: Any) -> str | None:
    """Why transformers cannot read the generation settings beside a model; None if it can.

    Args:
        config: the model's configuration, which holds them where they have no file.
        where: arguments of ``from_pretrained``.
    """
    try:
        try:
            GenerationConfig.from_pretrained(str(origin), **where)
        except OSError:  # there is no file
            GenerationConfig.from_model_config(config)
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        return (
            f"the generation settings of {origin} cannot be read: {reason}; mend its "
            "generation_config.json"
        )
    return None


def state_ends(model: Any, ends: Collection[int]) -> None:
    """Let the generation settings of ``model`` stop where its answers end, if that is at several
    tokens; of a single one, a Trainer's alignment takes care."""
    settings = getattr(model, "generation_config", None)
    if settings is not None and len(ends) > 1:
        settings.eos_token_id = list(ends)


def _without_effect(settings: Any) -> list[str]:
    """Names of the settings that transformers calls useless beside the others.

    Raises:
        ValueError: transformers refuses the settings for another reason.
    """
    try:
        copy.deepcopy(settings).validate(strict=True)
    except ValueError as error:
        named = [name for name, _ in _ISSUE.findall(str(error))]
        if not named:
            raise
        return named
    return []


def _move_from_config(config: Any, settings: Any) -> None:
    """Generation settings out of the model's configuration, whose save refuses them."""
    for part in {id(c): c for c in (config, config.get_text_config(decoder=True))}.values():
        for name, value in part._get_generation_parameters().items():
            if getattr(settings, name, None) is None:
                setattr(settings, name, value)
            delattr(part, name)


def fit_tokenizer(tokenizer: Any, model: Any, origin: object, field: str = "model") -> None:
    """Check that the model's embedding has a row for every id that a text can have.

    A pad id outside is replaced by the EOS id: padding is masked wherever it goes, so any row does.

    Args:
        origin: where model and tokenizer come from; ``field``: of the recipe; both for messages.

    Raises:
        RecipeError: another token has no row.
    """
    rows = len(model.get_input_embeddings().weight)
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id >= rows:
        logger.warning(
            "%s: the embedding of %s has %d rows and none for the pad token %r (id %d); "
            "%r stands under padding, which is masked",
            field, origin, rows, tokenizer.pad_token, tokenizer.pad_token_id, tokenizer.eos_token,
        )  # fmt: skip
        tokenizer.pad_token = tokenizer.eos_token
    outside = {token: i for token, i in tokenizer.get_vocab().items() if i >= rows}
    if not outside:
        return
    written = _written_by_itself(tokenizer)
    controls = set(control_tokens(tokenizer))
    used = {t: i for t, i in outside.items() if i in written or t not in controls}
    if used:
        token, index = min(used.items(), key=lambda pair: pair[1])
        raise RecipeError(
            f"{field}: the tokenizer of {origin} gives {token!r} the id {index}, but the embedding "
            f"has {rows} rows; resize it (model.resize_token_embeddings({max(used.values()) + 1})) "
            "and save the model again, or use the tokenizer that belongs to it"
        )


def _written_by_itself(tokenizer: Any) -> set[int]:
    """Ids of special tokens that the tokenizer itself adds to sequences."""
    ids = {tokenizer.eos_token_id, template_end(tokenizer), *opening_of(tokenizer)}
    template = str(tokenizer.chat_template or "")
    ids |= {
        tokenizer.convert_tokens_to_ids(token)
        for token in control_tokens(tokenizer)
        if token in template or (token == tokenizer.bos_token and "bos_token" in template)
    }
    return {index for index in ids if index is not None}


def float32_where_trained(module: nn.Module) -> int:
    """Cast every weight that trains from half precision to float32, in place.

    A bfloat16 weight has 8 bits of mantissa: an update smaller than 1/256 of the weight rounds to
    nothing, and at PPO's learning rates nearly all are. The speed of half precision is in the
    forward, under autocast (``bf16: true``), which float32 weights allow.

    Frozen weights keep their precision under adapters, where PEFT casts between the two; elsewhere
    they are cast along, because a forward through both would not run.

    Returns:
        How many weights (numbers, not tensors) that train were cast; one line of warning says so.
    """
    half = (torch.float16, torch.bfloat16)
    trained = [p for p in module.parameters() if p.requires_grad and p.dtype in half]
    count = sum(p.numel() for p in trained)
    if not count:
        return 0
    kinds = " and ".join(sorted({str(p.dtype).removeprefix("torch.") for p in trained}))
    adapters = any(isinstance(part, BaseTunerLayer) for part in module.modules())
    tensors = trained if adapters else [*module.parameters(), *module.buffers()]
    rounded = [] if adapters else _rounded_tables(module)
    for tensor in tensors:
        if tensor.dtype in half:
            tensor.data = tensor.data.float()
    with torch.random.fork_rng():
        for model, part in rounded:
            model._init_weights(part)
    logger.warning(
        "%d weights that train were %s, in which small updates round to nothing; they are float32 "
        "from here on. For speed set bf16: true, which computes in half precision",
        count, kinds,
    )  # fmt: skip
    return count


def _rounded_tables(module: nn.Module) -> list[tuple[PreTrainedModel, nn.Module]]:
    """Parts that hold computed tables alone (rotary frequencies), in half precision, with the model
    that computes them: no file keeps them, so a saved model would have others than the trained."""
    half = (torch.float16, torch.bfloat16)
    found = {}
    for model in (m for m in module.modules() if isinstance(m, PreTrainedModel)):
        for part in model.modules():
            tables = [t for n, t in part._buffers.items() if n in part._non_persistent_buffers_set]
            rounded = any(t is not None and t.dtype in half for t in tables)
            if rounded and not any(True for _ in part.parameters()):
                found[id(part)] = (model, part)
    return list(found.values())


def in_one_precision(policy: Any, reference: Any) -> None:
    """Cast a reference in half precision to float32 where the policy is float32, in place: two
    precisions of one model differ before anything has trained, and their KL would not begin at 0.
    """
    half = (torch.float16, torch.bfloat16)
    if causal_lm(policy).dtype != torch.float32 or causal_lm(reference).dtype not in half:
        return
    kind = str(causal_lm(reference).dtype).removeprefix("torch.")
    logger.warning("the reference was %s and the policy is float32; both are float32 now", kind)
    reference.float()
