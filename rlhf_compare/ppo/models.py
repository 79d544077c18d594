"""Policy and value model as one module, so that one optimizer, one backward and one wrapper for
several processes serve both."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from rlhf_compare.models.adapters import AdapterSwitch
from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.models.tiles import TokenDistributions, TokenLogits, in_tiles
from rlhf_compare.models.wrapping import causal_lm
from rlhf_compare.runs.meter import DeviceMeter
from rlhf_compare.tensors.kl import against_reference
from rlhf_compare.tensors.logprobs import token_entropy, token_logprobs


class TokenStatistics(NamedTuple):
    """Of N response tokens, (N,) each; None where it was not asked for.

    logprobs      log pi at the sampling temperature
    values        value before each token is sampled
    entropy       of the policy, nats
    ref_logprobs  log pi_ref, at the sampling temperature too
    token_kl      KL(pi || pi_ref) over the vocabulary, nats
    """

    logprobs: Tensor
    values: Tensor
    entropy: Tensor | None = None
    ref_logprobs: Tensor | None = None
    token_kl: Tensor | None = None


class PolicyAndValue(nn.Module):
    """``forward`` gives what the losses need of chosen tokens, and the value before each.

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
        self,
        sequences: Tensor,
        predicted: Tensor,
        temperature: float,
        entropy: bool = False,
        reference: TokenDistributions | None = None,
    ) -> TokenStatistics:
        """Statistics and values of N response tokens.

        Args:
            sequences: (B, T), padding last: a causal model needs no mask for that, and a plain
                causal attention is faster than a masked one.
            predicted: (B, T), True on the N response tokens.
            temperature: divides the logits.
            entropy: compute it.
            reference: of the same tokens; then everything is computed.

        Returns:
            log-probabilities and values, at least float32. Both come from the hidden state that
            predicts the token, which has not seen that token.
        """
        tokens = sequences[predicted]
        policy = self.token_logits.of(sequences, predicted, temperature)
        if self.value_model is None:
            assert policy.states is not None
            states = policy.states.to(self.value_head.weight.dtype)
            values = self.value_head(states).squeeze(-1).float()
        else:
            values = self.value_model.token_values(sequences)[:, :-1][predicted[:, 1:]]
        if reference is not None:
            logprobs, ref_logprobs, kl, spread = in_tiles(
                against_reference, tokens, policy, reference
            )
            return TokenStatistics(logprobs, values, spread, ref_logprobs, kl)
        statistics = _with_entropy if entropy else _logprobs
        logprobs, *spread_alone = in_tiles(statistics, tokens, policy)
        return TokenStatistics(logprobs, values, *spread_alone)

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


def _logprobs(tokens: Tensor, logits: Tensor) -> tuple[Tensor]:
    return (token_logprobs(logits, tokens),)


def _with_entropy(tokens: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    return token_logprobs(logits, tokens), token_entropy(logits)


def reference_logits(
    frozen: Any,
    policy: Any,
    adapters: AdapterSwitch | None,
    adapter_name: str | None,
    meter: DeviceMeter,
) -> TokenLogits:
    """The reference's logits.

    Args:
        frozen: the reference as a model of its own; None = the policy's base.
        policy: the policy itself.
        adapters: the policy's.
        adapter_name: the adapter that is the reference; None = all of them off.
        meter: the time of every call is charged to the phase ``reference``.
    """

    @contextmanager
    def as_frozen() -> Iterator[None]:
        with meter.phase("reference"):
            yield

    @contextmanager
    def on_the_base() -> Iterator[None]:
        assert adapters is not None
        with meter.phase("reference"), adapters.active(adapter_name):
            yield

    if adapters is None or frozen is not None:
        return TokenLogits(frozen, as_frozen)
    return TokenLogits(policy, on_the_base)


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
