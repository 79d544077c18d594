"""Sampling responses: one function for PPO's rollouts and for the evaluation."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from rlhf_compare.tensors.padding import positions


@dataclass(frozen=True)
class Responses:
    """Responses to a batch of prompts.

    ids  (B, R): right-padded, EOS included where the policy said it.
    mask (B, R): True on real tokens, EOS included.
    ended (B,): whether the response ends in EOS; False = cut at the length limit.
    """

    ids: Tensor
    mask: Tensor
    ended: Tensor

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
    eos_id: int,
    pad_id: int,
    temperature: float | None = 1.0,
) -> Responses:
    """Sample one response per prompt; pure sampling, no top-k and no nucleus, because the
    log-probabilities that everything else computes are those of the whole distribution.

    A loop of our own instead of ``model.generate``: a finished response leaves the batch at once,
    cache and all, and costs nothing from then on; and nothing is done between two tokens that
    sampling does not need.

    Args:
        prompt_ids: (B, P), left-padded.
        prompt_mask: (B, P).
        temperature: None = greedy.
    """
    was_training = policy.training
    policy.eval()
    device = prompt_ids.device
    said = torch.full((len(prompt_ids), max_new_tokens), pad_id, device=device)
    speaking = torch.arange(len(prompt_ids), device=device)  # rows that have not said EOS
    cache = DynamicCache(config=policy.config)
    ids, mask, places = prompt_ids, prompt_mask.long(), positions(prompt_mask)
    for step in range(max_new_tokens):
        logits = policy(
            input_ids=ids,
            attention_mask=mask,
            position_ids=places,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        token = _next_token(logits, temperature)
        said[speaking, step] = token
        going_on = (token != eos_id).nonzero().squeeze(1)
        if len(going_on) == 0:
            said = said[:, : step + 1]
            break
        if len(going_on) < len(speaking):
            cache.batch_select_indices(going_on)
        speaking = speaking[going_on]
        ids, places = token[going_on].unsqueeze(1), places[going_on, -1:] + 1
        mask = torch.cat([mask[going_on], torch.ones_like(ids)], dim=1)
    policy.train(was_training)
    return mask_after_eos(said, eos_id)


def _next_token(logits: Tensor, temperature: float | None) -> Tensor:
    """(B, V) -> (B,)."""
    if temperature is None:
        return logits.argmax(-1)
    # by inverting the distribution function: one random number a row, where multinomial draws one
    # a word of the vocabulary. In float64, so that the smallest probabilities survive the sum.
    scaled = logits.float() / temperature if temperature != 1.0 else logits.float()
    cumulative = torch.softmax(scaled, dim=-1).double().cumsum(-1)
    drawn = torch.rand(len(logits), 1, dtype=torch.float64, device=logits.device)
    token = torch.searchsorted(cumulative, drawn * cumulative[:, -1:], right=True).squeeze(1)
    return token.clamp(max=logits.shape[-1] - 1)


def mask_after_eos(ids: Tensor, eos_id: int) -> Responses:
    """Real tokens run up to and including the first EOS: counted, not told from padding by id."""
    is_eos = ids == eos_id
    before = is_eos.long().cumsum(-1) - is_eos.long()  # EOS tokens strictly before each position
    mask = before == 0
    return Responses(ids=ids, mask=mask, ended=is_eos.any(-1))
