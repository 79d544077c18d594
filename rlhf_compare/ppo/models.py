"""Policy and value model as one module, so that one optimizer, one backward and one wrapper for
several processes serve both."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from rlhf_compare.models.adapters import AdapterSwitch
from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.models.policy import has_plain_head, hidden_states
from rlhf_compare.models.wrapping import causal_lm


class TokenLogits:
    """The logits of chosen tokens and of no other.

    Where the logits are the head of the hidden states, the head is applied to the chosen positions
    alone: at a large vocabulary the head on padding and prompts is most of the work.

    Args:
        model: a causal language model, or a PEFT model of one; tested once, with a forward pass.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.plain_head = has_plain_head(model)

    def __call__(self, sequences: Tensor, predicted: Tensor) -> Tensor:
        """(B, T) ids, padding last, and (B, T), True on N tokens -> (N, V)."""
        if not self.plain_head:
            logits: Tensor = causal_lm(self.model)(input_ids=sequences, use_cache=False).logits
            return logits[:, :-1][predicted[:, 1:]]
        states = hidden_states(self.model, sequences)[:, :-1][predicted[:, 1:]]
        chosen: Tensor = causal_lm(self.model).get_output_embeddings()(states)
        return chosen


class PolicyAndValue(nn.Module):
    """``forward`` gives the logits of chosen tokens and the value before each.

    Args:
        policy: a causal language model, or a PEFT model of one.
        value_model: a critic of its own; None = a value head on the policy's trunk.
        adapters: the policy's adapters, where it has any.
    """

    def __init__(
        self,
        policy: PreTrainedModel,
        value_model: ScalarHeadModel | None,
        adapters: AdapterSwitch | None = None,
    ) -> None:
        super().__init__()
        self.adapters = adapters
        self.policy: Any = policy
        self.value_model = value_model
        self.config = policy.config
        self.token_logits = TokenLogits(policy)
        if value_model is None:
            if not self.token_logits.plain_head:
                raise ValueError(
                    "value_trunk 'shared' needs a model whose logits are the head of its hidden "
                    "states and nothing more; use 'separate'"
                )
            width = causal_lm(policy).config.get_text_config().hidden_size
            self.value_head = nn.Linear(width, 1, bias=False, device=policy.device)
            nn.init.zeros_(self.value_head.weight)  # the first value estimates are 0

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
            logits (N, V) and values (N,), float32. Both come from the hidden state that predicts
            the token, which has not seen that token.
        """
        if self.value_model is None:
            states = hidden_states(self.policy, sequences)[:, :-1][predicted[:, 1:]]
            logits = causal_lm(self.policy).get_output_embeddings()(states)
            values = self.value_head(states.to(self.value_head.weight.dtype)).squeeze(-1)
            return logits / temperature, values.float()
        logits = self.token_logits(sequences, predicted)
        values = self.value_model.token_values(sequences)[:, :-1][predicted[:, 1:]]
        return logits / temperature, values

    def activation_checkpointing_enable(self, **_: Any) -> None:
        """Keep fewer activations and compute them again in the backward, inside :func:`recomputed`.
        Of torch's two implementations the exact one is always used."""
        again = partial(checkpoint, use_reentrant=False)
        if self.adapters is not None:
            self.adapters.checkpoint_activations()
        else:
            self.policy._set_gradient_checkpointing(True, again)
        trunk = None if self.value_model is None else self.value_model.backbone
        if isinstance(trunk, PreTrainedModel):
            trunk._set_gradient_checkpointing(True, again)


def reference_logits(
    frozen: Any, policy: TokenLogits, adapters: AdapterSwitch | None, adapter_name: str | None
) -> Callable[[], AbstractContextManager[TokenLogits]]:
    """A context that gives the reference's logits.

    Args:
        frozen: the reference as a model of its own; None = the policy's base.
        policy: the policy's logits; inside the context these are the base's.
        adapters: the policy's.
        adapter_name: the adapter that is the reference; None = all of them off.
    """
    if adapters is None or frozen is not None:
        logits = TokenLogits(frozen)
        return lambda: nullcontext(logits)

    @contextmanager
    def on_the_base() -> Iterator[TokenLogits]:
        with adapters.active(adapter_name):
            yield policy

    return on_the_base


@contextmanager
def recomputed(model: nn.Module) -> Iterator[None]:
    """Inside, layers with gradient checkpointing use it. Transformers' layers use it in training
    mode only. All other modules stay in evaluation mode, so that the forward is bit-equal to that
    of the rollout."""
    layers = [
        module
        for module in model.modules()
        if isinstance(module, GradientCheckpointingLayer) and module.gradient_checkpointing
    ]
    for layer in layers:
        layer.training = True
    try:
        yield
    finally:
        for layer in layers:
            layer.training = False


def freeze(model: Any) -> Any:
    """Switch gradients and dropout off."""
    return model.requires_grad_(False).eval()


@torch.no_grad()
def blend(reference: nn.Module, policy: nn.Module, keep: float) -> None:
    """reference <- keep * reference + (1 - keep) * policy, in place."""
    for old, new in zip(reference.parameters(), policy.parameters(), strict=True):
        old.lerp_(new.detach().to(old.dtype), 1.0 - keep)
