"""How many tokens a model has positions for."""

from typing import Any

import torch
from torch import nn
from transformers import AutoModel

_SANE = 10**9  # tokenizers without a limit give 10**30


def position_limit(model: Any) -> int | None:
    """Tokens that a text may have for ``model``; None = it knows no limit.

    RoBERTa, XLM-R, CamemBERT, MPNet, Longformer and others count positions from ``padding_idx + 1``
    on, so that of 514 positions 512 are of use. The table of positions shows it: it has a
    row for padding. Models without a table (rotary, ALiBi) do not fail beyond the length of
    their configuration, but they were not trained for more: that length is their limit too.

    Args:
        model: a transformers model, or a wrapper with its ``config`` and its modules.
    """
    return _limit(model.config, model)


def position_limit_of_config(config: Any) -> int | None:
    """:func:`position_limit` of the model that a transformers configuration describes; its weights
    are neither read nor drawn."""
    if _declared(config) is None:
        return None
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            model = AutoModel.from_config(config)
    except Exception:  # AutoModel knows no such backbone: the configuration must do
        return _declared(config)
    return _limit(config, model)


def text_limit(model: Any, tokenizer: Any) -> int | None:
    """The shorter of what ``model`` has positions for and what its tokenizer was saved with."""
    known = (position_limit(model), getattr(tokenizer, "model_max_length", None))
    return min((n for n in known if n is not None and 0 < n < _SANE), default=None)


def _declared(config: Any) -> int | None:
    """What the configuration says; ``n_positions`` goes by this name too."""
    length = getattr(config.get_text_config(), "max_position_embeddings", None)
    return length if isinstance(length, int) and length > 0 else None


def _limit(config: Any, model: nn.Module) -> int | None:
    declared = _declared(config)
    if declared is None:
        return None
    unused = 0
    for name, table in model.named_modules():
        padding, weight = getattr(table, "padding_idx", None), getattr(table, "weight", None)
        if weight is None or not isinstance(padding, int) or "position" not in name:
            continue
        if len(weight) == declared:
            unused = max(unused, padding + 1)
    return declared - unused
