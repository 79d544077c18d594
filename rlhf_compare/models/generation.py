"""Sampling responses: one function for PPO's rollouts and for the evaluation."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rlhf_compare.models.stepping import steps_of


@dataclass(frozen=True)
class Responses:
    """Responses to a batch of prompts.

    ids  (B, R): right-padded, the end token included if the policy sampled one.
    mask (B, R): True on real tokens, the end token included.
    ended (B,): whether the response ends in such a token; False = cut at the length limit.
    sampled (B,): tokens that were sampled for the response; None = its own tokens only.
    """

    ids: Tensor
    mask: Tensor
    ended: Tensor
    sampled: Tensor | None = None

    def to_lists(self) -> list[list[int]]:
        """Real token ids of every response."""
        return [
            row[keep].tolist() for row, keep in zip(self.ids.cpu(), self.mask.cpu(), strict=True)
        ]


@torch.no_grad()
def generate(
    policy: Any,
    prompt_ids: Tensor,
    prompt_mask: Tensor,
    max_new_tokens: int,
    end_ids: int | Collection[int],
    pad_id: int,
    temperature: float | None = 1.0,
) -> Responses:
    """Sample one response per prompt; pure sampling, no top-k and no nucleus, because the
    log-probabilities that everything else computes are those of the whole distribution.

    This loop replaces ``model.generate`` because it is faster: a finished response leaves the batch
    and the cache at once, and between two tokens only the sampling is computed.

    Args:
        prompt_ids: (B, P), left-padded.
        prompt_mask: (B, P).
        end_ids: what ends a response: a token, or any of several.
        temperature: None = greedy.
    """
    was_training = policy.training
    policy.eval()
    device = prompt_ids.device
    sampled_ids = torch.full((len(prompt_ids), max_new_tokens), pad_id, device=device)
    active_rows = torch.arange(len(prompt_ids), device=device)
    steps = steps_of(policy, prompt_ids, prompt_mask)
    for step in range(max_new_tokens):
        token = _next_token(steps.logits(), temperature)
        sampled_ids[active_rows, step] = token
        unfinished = (~_is_end(token, end_ids)).nonzero().squeeze(1)
        if len(unfinished) == 0:
            sampled_ids = sampled_ids[:, : step + 1]
            break
        active_rows = active_rows[unfinished]
        steps.go_on(unfinished, token[unfinished])
    policy.train(was_training)
    return mask_after_end(sampled_ids, end_ids)


def _next_token(logits: Tensor, temperature: float | None) -> Tensor:
    """(B, V) -> (B,)."""
    if temperature is None:
        return logits.argmax(-1)
    # Inverse transform sampling draws one random number a row; torch.multinomial draws one for
    # every token of the vocabulary. float64 keeps the smallest probabilities in the sum.
    scaled = logits.float() / temperature if temperature != 1.0 else logits.float()
    cumulative = torch.softmax(scaled, dim=-1).double().cumsum(-1)
    drawn = torch.rand(len(logits), 1, dtype=torch.float64, device=logits.device)
    token = torch.searchsorted(cumulative, drawn * cumulative[:, -1:], right=True).squeeze(1)
    return token.clamp(max=logits.shape[-1] - 1)


def mask_after_end(ids: Tensor, end_ids: int | Collection[int]) -> Responses:
    """Real tokens run up to and including the first end. The end is found by its position, because
    padding and end token may share an id."""
    is_end = _is_end(ids, end_ids)
    before = is_end.long().cumsum(-1) - is_end.long()  # ends strictly before each position
    mask = before == 0
    return Responses(ids=ids, mask=mask, ended=is_end.any(-1))


def _is_end(ids: Tensor, end_ids: int | Collection[int]) -> Tensor:
    ends = [end_ids] if isinstance(end_ids, int) else list(end_ids)
    if len(ends) == 1:
        return ids == ends[0]
    return torch.isin(ids, torch.tensor(ends, dtype=ids.dtype, device=ids.device))
