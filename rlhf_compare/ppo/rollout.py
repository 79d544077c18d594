"""One batch of experience: what the policy said, and what everybody thinks of it."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from rlhf_compare.models.generation import Responses


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """B responses of at most R tokens to prompts of at most P; T = P + R. Nothing has a gradient.

    sequences      (B, T)  prompt left-padded, response right-padded
    mask           (B, T)  True on real tokens
    response_ids   (B, R)
    response_mask  (B, R)  True on real tokens, EOS included
    ended          (B,)    the response ends in EOS
    logprobs       (B, R)  log pi of the policy that sampled, at the sampling temperature
    ref_logprobs   (B, R)  log pi_ref of the same tokens
    values         (B, R)  value before each token is said
    token_kl       (B, R)  KL(pi || pi_ref) over the vocabulary at each position, nats
    entropy        (B, R)  of the policy at each position, nats
    scores         (B,)    r(x, y), centred, less the penalty for a missing EOS
    """

    sequences: Tensor
    mask: Tensor
    response_ids: Tensor
    response_mask: Tensor
    ended: Tensor
    logprobs: Tensor
    ref_logprobs: Tensor
    values: Tensor
    token_kl: Tensor
    entropy: Tensor
    scores: Tensor

    def __len__(self) -> int:
        return len(self.sequences)

    def rows(self, index: Tensor) -> "Rollout":
        """The episodes at ``index``."""
        return Rollout(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


def join(prompt_ids: Tensor, prompt_mask: Tensor, responses: Responses) -> tuple[Tensor, Tensor]:
    """Prompt and response as one sequence, and its mask: (B, P) and (B, R) to (B, T) twice."""
    sequences = torch.cat([prompt_ids, responses.ids], dim=1)
    return sequences, torch.cat([prompt_mask, responses.mask], dim=1)
