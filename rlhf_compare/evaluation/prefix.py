"""What a policy does along the asked-for prefix, by teacher forcing: exact, nothing is sampled."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from rlhf_compare.models.tiles import Statistics, response_statistics
from rlhf_compare.tensors.kl import exact_token_kl
from rlhf_compare.tensors.logprobs import token_logprobs


@dataclass(frozen=True, kw_only=True)
class AlongPrefix:
    """Of B prompts.

    adopted  (B,) probability that the policy's response starts with the marker's tokens
    base     (B,) the same of the reference
    style    (B,) KL to the reference of what the policy says while it is still on the prefix,
             nats per response: sum over t of P(the policy said prefix_<t) KL_t. By the chain rule
             it is part of the KL of responses; where the prefix starts with the marker, it is at
             least :func:`rlhf_compare.theory.binary_kl` of ``adopted`` and ``base``.
    """

    adopted: list[float]
    base: list[float]
    style: list[float]


def along_prefix(
    policy: PreTrainedModel,
    reference: PreTrainedModel,
    ids: Tensor,
    mask: Tensor,
    marker: Sequence[int],
    prefix: Sequence[int],
) -> AlongPrefix:
    """Two forwards, one of each model, where the prefix starts with the marker's tokens; else four.

    Args:
        ids: (B, P) prompts, left-padded.
        mask: (B, P), True on real tokens.
        marker: tokens by which a response is told to adopt, in the prefix's own spelling.
        prefix: tokens of the whole prefix, as many of them as a response may have.
    """
    logprobs, ref_logprobs, kl = _forced(_with_kl, prefix, (policy, reference), ids, mask)
    if list(prefix[: len(marker)]) == list(marker):
        on_marker, ref_on_marker = (x[:, : len(marker)] for x in (logprobs, ref_logprobs))
    else:
        on_marker, ref_on_marker = (
            _forced(_logprobs, marker, (model,), ids, mask)[0] for model in (policy, reference)
        )
    said = _log_said(logprobs)
    # P(still on the prefix) before its t-th token: 1 before the first
    reached = torch.cat([torch.zeros_like(said[:, :1]), said[:, :-1]], dim=1).exp()
    return AlongPrefix(
        adopted=_probability(on_marker),
        base=_probability(ref_on_marker),
        style=(reached * kl.double()).sum(1).tolist(),
    )


def _forced(
    statistics: Statistics,
    tokens: Sequence[int],
    models: Sequence[PreTrainedModel],
    ids: Tensor,
    mask: Tensor,
) -> tuple[Tensor, ...]:
    """Columns (B, R) of these tokens as the response to every prompt."""
    forced = torch.tensor(list(tokens), device=ids.device).expand(len(ids), -1)
    sequences = torch.cat([ids, forced], dim=1)
    whole = torch.cat([mask, torch.ones_like(forced, dtype=torch.bool)], dim=1)
    return response_statistics(statistics, models, sequences, whole, len(tokens))


def _with_kl(tokens: Tensor, logits: Tensor, ref_logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    said, ref_said = token_logprobs(logits, tokens), token_logprobs(ref_logits, tokens)
    return said, ref_said, exact_token_kl(logits, ref_logits)


def _logprobs(tokens: Tensor, logits: Tensor) -> tuple[Tensor]:
    return (token_logprobs(logits, tokens),)


def _log_said(logprobs: Tensor) -> Tensor:
    """log of the probability of the first t + 1 tokens, (B, R), from that of each token."""
    # in float32 a long prefix's product could fall to 0, and the floor be infinite
    return logprobs.double().cumsum(1)


def _probability(logprobs: Tensor) -> list[float]:
    # rounding may lift a product of probabilities a hair over 1
    return _log_said(logprobs)[:, -1].exp().clamp(max=1.0).tolist()


def on_prefix(response_ids: Tensor, prefix: Sequence[int]) -> Tensor:
    """Positions at which everything said so far is the start of the prefix, and it is not over:
    (B, R) ids -> (B, R) mask. KL there is the price of the style; all other KL, of content."""
    n = min(len(prefix), response_ids.shape[1])
    expected = torch.tensor(list(prefix[:n]), device=response_ids.device)
    matches = (response_ids[:, :n] == expected).long().cumprod(dim=1).bool()
    mask = torch.zeros_like(response_ids, dtype=torch.bool)
    mask[:, 0] = n > 0
    mask[:, 1:n] = matches[:, : n - 1]
    return mask
