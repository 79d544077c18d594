"""Policy and value model as one module, so that one optimizer, one backward and one wrapper for
several processes serve both."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.models.policy import (
    causal_lm,
    has_plain_head,
    hidden_states,
)


class PolicyAndValue(nn.Module):
    """``forward`` gives the logits of chosen tokens and the value before each.

    Args:
        policy: a causal language model, or a PEFT model of one.
        value_model: a critic of its own; None = a value head on the policy's trunk.
    """

    def __init__(self, policy: PreTrainedModel, value_model: ScalarHeadModel | None) -> None:
        super().__init__()
        self.policy: Any = policy
        self.value_model = value_model
        self.config = policy.config
        self.plain_head = has_plain_head(policy)
        if value_model is None:
            if not self.plain_head:
                raise ValueError(
                    "value_trunk 'shared' needs a model whose logits are the head of its hidden "
                    "states and nothing more; use 'separate'"
                )
            width = causal_lm(policy).config.get_text_config().hidden_size
            self.value_head = nn.Linear(width, 1, bias=False, device=policy.device)
            nn.init.zeros_(self.value_head.weight)  # no opinion until returns were seen

    def forward(
        self, sequences: Tensor, predicted: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor]:
        """Logits and values of N response tokens.

        Args:
            sequences: (B, T), padding last: a causal model needs no mask for that, and a plain
                causal attention is faster than a masked one.
            predicted: (B, T), True on the N response tokens.
            temperature: divides the logits.

        Returns:
            logits (N, V) and values (N,), float32. The hidden state that predicts a token has not
            seen it: that is the state whose value is meant.
        """
        if self.value_model is None:
            states = hidden_states(self.policy, sequences)[:, :-1][predicted[:, 1:]]
            logits = causal_lm(self.policy).get_output_embeddings()(states)
            return logits / temperature, self.value_head(states).squeeze(-1).float()
        logits = chosen_logits(self.policy, sequences, predicted, self.plain_head)
        values = self.value_model.token_values(sequences)[:, :-1][predicted[:, 1:]]
        return logits / temperature, values

    def gradient_checkpointing_enable(self, **kwargs: Any) -> None:
        self.policy.gradient_checkpointing_enable(**kwargs)
        if self.value_model is not None:
            self.value_model.gradient_checkpointing_enable(**kwargs)

    def gradient_checkpointing_disable(self) -> None:
        self.policy.gradient_checkpointing_disable()
        if self.value_model is not None:
            self.value_model.gradient_checkpointing_disable()


def chosen_logits(model: Any, sequences: Tensor, predicted: Tensor, plain_head: bool) -> Tensor:
    """Logits of the N tokens in ``predicted`` and of no other: (B, T) -> (N, V). Where the logits
    are the head of the hidden states, the head is applied to those alone: at a large vocabulary
    the head on padding and prompts is most of the work. ``sequences`` have their padding last."""
    if not plain_head:
        logits: Tensor = causal_lm(model)(input_ids=sequences, use_cache=False).logits
        return logits[:, :-1][predicted[:, 1:]]
    states = hidden_states(model, sequences)[:, :-1][predicted[:, 1:]]
    chosen: Tensor = causal_lm(model).get_output_embeddings()(states)
    return chosen


def freeze(model: Any) -> Any:
    """Never trained, no dropout, no gradient."""
    return model.requires_grad_(False).eval()


@torch.no_grad()
def blend(reference: nn.Module, policy: nn.Module, keep: float) -> None:
    """reference <- keep * reference + (1 - keep) * policy: a reference that follows slowly."""
    for old, new in zip(reference.parameters(), policy.parameters(), strict=True):
        old.lerp_(new.detach().to(old.dtype), 1.0 - keep)
