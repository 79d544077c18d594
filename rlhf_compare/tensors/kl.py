"""KL divergence of a policy from a reference: three estimators from samples, and the exact one.

With r = pi_ref / pi on tokens drawn from pi (Schulman 2020, "Approximating KL divergence"):

    k1 = -log r             unbiased, high variance, may be negative
    k2 = (log r)^2 / 2      biased, low variance
    k3 = (r - 1) - log r    unbiased, never negative, heavy-tailed far from the reference

None is ever clamped at zero: that would bias k1.
"""

import torch
from torch import Tensor

from rlhf_compare.tensors.logprobs import at_least_float32, entropy_of_logs, token_logprobs


def k1(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """log pi - log pi_ref at every position, in nats; same shape as the inputs."""
    return logprobs - ref_logprobs


def k2(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """(log pi - log pi_ref)^2 / 2 at every position, in nats."""
    return 0.5 * (logprobs - ref_logprobs) ** 2


def k3(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """(r - 1) - log r with r = pi_ref / pi at every position, in nats; at least 0.

    ``expm1`` because near the reference r - 1 loses every digit in float32.
    """
    log_ratio = ref_logprobs - logprobs
    return torch.expm1(log_ratio) - log_ratio


def exact_token_kl(logits: Tensor, ref_logits: Tensor) -> Tensor:
    """KL(pi || pi_ref) over the whole vocabulary at every position, in nats.

    Summed along a response sampled from pi this is the Rao-Blackwellised estimate of the KL of
    responses (Amini et al. 2025): unbiased, with less variance than k1.

    Args:
        logits: (..., V) of the policy.
        ref_logits: (..., V) of the reference.

    Returns:
        (...), at least 0 up to rounding.
    """
    logp = torch.log_softmax(at_least_float32(logits), dim=-1)
    return kl_of_logs(logp, torch.log_softmax(at_least_float32(ref_logits), dim=-1))


def kl_of_logs(logp: Tensor, ref_logp: Tensor) -> Tensor:
    """:func:`exact_token_kl` of normalised log-probabilities, (..., V) -> (...)."""
    return (logp.exp() * (logp - ref_logp)).sum(-1)


def against_reference(
    tokens: Tensor, logits: Tensor, ref_logits: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Everything that is asked of a policy beside its reference at every position.

    Args:
        tokens: (...) ids.
        logits: (..., V) of the policy.
        ref_logits: (..., V) of the reference.

    Returns:
        log pi and log pi_ref of the tokens, :func:`exact_token_kl`, and the policy's entropy, in
        nats, (...) each.
    """
    logprobs = token_logprobs(logits, tokens)
    ref_logprobs = token_logprobs(ref_logits, tokens)
    logp = torch.log_softmax(at_least_float32(logits), dim=-1)
    ref_logp = torch.log_softmax(at_least_float32(ref_logits), dim=-1)
    return logprobs, ref_logprobs, kl_of_logs(logp, ref_logp), entropy_of_logs(logp)
