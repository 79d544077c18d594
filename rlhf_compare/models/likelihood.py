"""log pi(response | prompt) of responses that are given, not sampled."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from rlhf_compare.models.policy import has_plain_head, hidden_states
from rlhf_compare.models.wrapping import causal_lm
from rlhf_compare.tensors.padding import pad_sequences

_TILE = 1 << 25  # logits in memory at once, 128 MiB in float32


@torch.no_grad()
def response_logps(
    model: Any, prompts: Sequence[list[int]], responses: Sequence[list[int]], batch_size: int
) -> list[float]:
    """Sum over a response's tokens, its end token included, of log pi(token | all before it), in
    nats and in the given order; at temperature 1.

    The head is applied to response positions alone, in tiles: at GPT-2's vocabulary the logits of
    all positions would be most of the memory. Where a model's logits are more than the head of the
    hidden states (see :func:`has_plain_head`), whole rows are computed, few at a time.

    Args:
        model: a causal language model, in eval mode.
        prompts: token ids, one list a response; at least one token each, because a response's
            first token is predicted from what stands before it.
        batch_size: sequences per forward, at most.
    """
    lengths = [len(p) + len(r) for p, r in zip(prompts, responses, strict=True)]
    plain, vocabulary = has_plain_head(model), causal_lm(model).config.get_text_config().vocab_size
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    sums = [0.0] * len(lengths)
    for part in _parts(order, lengths, batch_size, None if plain else vocabulary):
        whole = [prompts[i] + responses[i] for i in part]
        ids = pad_sequences(whole, 0, "right")[0].to(model.device)
        starts = torch.tensor([len(prompts[i]) for i in part], device=ids.device)
        ends = torch.tensor([lengths[i] for i in part], device=ids.device)
        token = torch.arange(1, ids.shape[1], device=ids.device)
        scored = (token >= starts.unsqueeze(1)) & (token < ends.unsqueeze(1))
        logps = _logps(model, ids, scored, max(1, _TILE // vocabulary) if plain else None)
        rows = scored.nonzero()[:, 0]
        total = torch.zeros(len(part), dtype=torch.float64, device=ids.device)
        for index, value in zip(part, total.index_add(0, rows, logps).tolist(), strict=True):
            sums[index] = value
    return sums


def _parts(
    order: Sequence[int], lengths: Sequence[int], size: int, vocabulary: int | None
) -> Iterator[Sequence[int]]:
    """Batches of like length, longest first; with ``vocabulary``, of at most a tile's logits."""
    start = 0
    while start < len(order):
        fits = size
        if vocabulary is not None:
            fits = max(1, min(size, _TILE // (lengths[order[start]] * vocabulary)))
        yield order[start : start + fits]
        start += fits


def _logps(model: Any, ids: Tensor, scored: Tensor, tile: int | None) -> Tensor:
    """log pi of every token that counts, row after row: (B, T) ids, (B, T - 1) mask -> (M,),
    float64. ``tile``: positions at a time; None = the model's own logits."""
    targets = ids[:, 1:][scored].unsqueeze(-1)
    # padding last: no real token of a causal model can see it, so no mask is needed
    if tile is None:
        return _at(targets, model(input_ids=ids, use_cache=False).logits[:, :-1][scored])
    head = causal_lm(model).get_output_embeddings()
    states = hidden_states(model, ids)[:, :-1][scored]
    tiles = zip(targets.split(tile), states.split(tile), strict=True)
    return torch.cat([_at(some, head(part)) for some, part in tiles])


def _at(targets: Tensor, logits: Tensor) -> Tensor:
    """log pi of a token each: (M, 1) ids, (M, V) logits -> (M,)."""
    return torch.log_softmax(logits.float(), dim=-1).gather(-1, targets).squeeze(-1).double()
