"""Sampling responses: one function for PPO's rollouts and for the evaluation."""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel


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
    policy: PreTrainedModel,
    prompt_ids: Tensor,
    prompt_mask: Tensor,
    max_new_tokens: int,
    eos_id: int,
    pad_id: int,
    temperature: float | None = 1.0,
) -> Responses:
    """Sample one response per prompt; pure sampling, no top-k and no nucleus, because the
    log-probabilities that everything else computes are those of the whole distribution.

    Args:
        prompt_ids: (B, P), left-padded.
        prompt_mask: (B, P).
        temperature: None = greedy.
    """
    config = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=temperature is not None,
        temperature=temperature if temperature is not None else 1.0,
        top_k=0,
        top_p=1.0,
        eos_token_id=eos_id,
        pad_token_id=pad_id,
        use_cache=True,  # trainers switch it off in the model's own configuration
    )
    was_training = policy.training
    policy.eval()
    output = policy.generate(
        input_ids=prompt_ids,
        attention_mask=prompt_mask.long(),
        generation_config=config,
    )
    policy.train(was_training)
    ids = output[:, prompt_ids.shape[1] :]
    return mask_after_eos(ids, eos_id)


def mask_after_eos(ids: Tensor, eos_id: int) -> Responses:
    """Real tokens run up to and including the first EOS: counted, not told from padding by id."""
    is_eos = ids == eos_id
    before = is_eos.long().cumsum(-1) - is_eos.long()  # EOS tokens strictly before each position
    mask = before == 0
    return Responses(ids=ids, mask=mask, ended=is_eos.any(-1))
