"""Log-probabilities and entropies from logits."""

import torch
from torch import Tensor


def token_logprobs(logits: Tensor, ids: Tensor) -> Tensor:
    """log pi(id) at every position, in float32.

    Args:
        logits: (B, R, V); row t predicts ``ids[:, t]``.
        ids: (B, R).

    Returns:
        (B, R), at most 0.
    """
    logits = logits.float()
    chosen = logits.gather(-1, ids.unsqueeze(-1)).squeeze(-1)
    return chosen - torch.logsumexp(logits, dim=-1)


def token_entropy(logits: Tensor) -> Tensor:
    """Entropy of the next-token distribution at every position, in nats: (B, R, V) -> (B, R)."""
    return entropy_of_logs(torch.log_softmax(logits.float(), dim=-1))


def entropy_of_logs(logp: Tensor) -> Tensor:
    """:func:`token_entropy` of normalised log-probabilities, (..., V) -> (...)."""
    return -(logp.exp() * logp).sum(-1)
