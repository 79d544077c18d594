"""Sampling as TRL 1.12's PPO module offers it, for scripts that call it themselves."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import GenerationConfig


@torch.no_grad()
def batch_generation(
    model: Any,
    queries: Tensor,
    local_rollout_forward_batch_size: int,
    pad_token_id: int,
    generation_config: GenerationConfig,
) -> tuple[Tensor, Tensor]:
    """Responses by transformers' ``generate``, under the call of TRL's function.

    Args:
        queries: (B, P) prompts, padded with ``pad_token_id`` anywhere: it is masked.
        local_rollout_forward_batch_size: prompts of one call of ``generate``.

    Returns:
        Prompts with responses, (B, P + R), ``pad_token_id`` last where a response is shorter; and
        the processed logits that every token was drawn from, (B, R, V), 0 there.
    """
    width, sequences, logits = queries.shape[1], [], []
    for part in queries.split(local_rollout_forward_batch_size):
        real = part != pad_token_id
        output = model.generate(
            input_ids=part.masked_fill(~real, 0),
            attention_mask=real,
            generation_config=generation_config,
            return_dict_in_generate=True,
            output_scores=True,
        )
        sequences.append(torch.cat([part, output.sequences[:, width:]], dim=1))
        logits.append(torch.stack(output.scores, dim=1))
    longest = max(part.shape[1] for part in logits)
    return (
        torch.cat(
            [pad(p, (0, longest + width - p.shape[1]), value=pad_token_id) for p in sequences]
        ),
        torch.cat([pad(p, (0, 0, 0, longest - p.shape[1])) for p in logits]),
    )
