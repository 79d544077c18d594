"""Log-probabilities and entropies from logits."""

import torch
from torch import Tensor


def at_least_float32(logits: Tensor) -> Tensor:
    """Half precision has too few digits for a sum over the vocabulary; float64 stays."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def token_logprobs(logits: Tensor, ids: Tensor) -> Tensor:
    """log pi(id) at every position, at least in float32.

    Args:
        logits: (..., V); a row predicts the id in its place.
        ids: (...).

    Returns:
        (...), at most 0.
    """
    logits = at_least_float32(logits)
    chosen = logits.gather(-1, ids.unsqueeze(-1)).squeeze(-1)
    return chosen - torch.logsumexp(logits, dim=-1)


def token_entropy(logits: Tensor) -> Tensor:
    """Entropy of the next-token distribution at every position, in nats: (..., V) -> (...)."""
    return entropy_of_logs(torch.log_softmax(at_least_float32(logits), dim=-1))


def entropy_of_logs(logp: Tensor) -> Tensor:
    """:func:`token_entropy` of normalised log-probabilities, (..., V) -> (...)."""
    return -(logp.exp() * logp).sum(-1)
