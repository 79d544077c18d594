"""log pi(response | prompt) of responses that are given, not sampled."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rlhf_compare.models.tiles import TokenLogits, in_tiles
from rlhf_compare.tensors.logprobs import at_least_float32
from rlhf_compare.tensors.padding import pad_sequences


@torch.no_grad()
def response_logps(
    model: Any, prompts: Sequence[list[int]], responses: Sequence[list[int]], batch_size: int
) -> list[float]:
    """Sum over a response's tokens, its end token included, of log pi(token | all before it), in
    nats and in the given order; at temperature 1.

    The head is applied to response positions alone, in tiles: see :mod:`rlhf_compare.models.tiles`.

    Args:
        model: a causal language model, in eval mode.
        prompts: token ids, one list a response; at least one token each, because a response's
            first token is predicted from what stands before it.
        batch_size: sequences per forward, at most.
    """
    lengths = [len(p) + len(r) for p, r in zip(prompts, responses, strict=True)]
    source = TokenLogits(model)
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    sums = [0.0] * len(lengths)
    for first in range(0, len(order), batch_size):  # of like length
        part = order[first : first + batch_size]
        # padding last: no real token of a causal model can see it, so no mask is needed
        whole = [prompts[i] + responses[i] for i in part]
        ids = pad_sequences(whole, 0, "right")[0].to(model.device)
        starts = torch.tensor([len(prompts[i]) for i in part], device=ids.device)
        ends = torch.tensor([lengths[i] for i in part], device=ids.device)
        token = torch.arange(ids.shape[1], device=ids.device)
        scored = (token >= starts.unsqueeze(1)) & (token < ends.unsqueeze(1))
        (logps,) = in_tiles(_logps, ids[scored], source.of(ids, scored))
        rows = scored.nonzero()[:, 0]
        total = torch.zeros(len(part), dtype=torch.float64, device=ids.device)
        for index, value in zip(part, total.index_add(0, rows, logps).tolist(), strict=True):
            sums[index] = value
    return sums


def _logps(tokens: Tensor, logits: Tensor) -> tuple[Tensor]:
    """log pi of a token each, float64: (n,) ids, (n, V) logits -> (n,)."""
    logp = torch.log_softmax(at_least_float32(logits), dim=-1)
    return (logp.gather(-1, tokens.unsqueeze(-1)).squeeze(-1).double(),)
