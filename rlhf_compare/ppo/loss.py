"""PPO's formulas: tensors in, tensors out.

Shapes: B responses, R response positions; masks are True on real response tokens, EOS included.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from rlhf_compare.tensors.kl import k1, k3
from rlhf_compare.tensors.masked import masked_mean, masked_sum
from rlhf_compare.tensors.padding import last_true

# exp(20) is 5e8. A larger ratio shows only that something broke; in half precision it is inf.
MAX_LOG_RATIO = 20.0
KLEstimator = Literal["k1", "k3"]
ESTIMATORS = {"k1": k1, "k3": k3}


def token_rewards(
    scores: Tensor,
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    kl_coef: float,
    kl_estimator: KLEstimator = "k1",
) -> Tensor:
    """Reward of every response token; a row sums to R(x, y) = r - beta log(pi / pi_ref).

    The penalty is spread over the tokens it arises at; the score is paid on the last real token
    (Ziegler et al. 2019, equation 2; Stiennon et al. 2020, section 3.4). The penalty is k1: its
    policy gradient is that of the reverse KL. That of k3 is not, and far too weak near the
    reference; it is there for those who move from a library that offers it.

    Args:
        scores: (B,) from the reward model.
        logprobs, ref_logprobs: (B, R) of the policy that sampled, and of the reference.
        mask: (B, R).
        kl_coef: beta, at least 0.

    Returns:
        (B, R), 0 where not ``mask``.
    """
    penalty = ESTIMATORS[kl_estimator](logprobs, ref_logprobs)
    rewards = torch.where(mask, -kl_coef * penalty, torch.zeros_like(penalty))
    rows = torch.arange(len(scores), device=scores.device)
    return rewards.index_put((rows, last_true(mask)), scores.to(rewards.dtype), accumulate=True)


def gae(
    rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation (Schulman et al. 2016, equations 11 and 16).

        delta_t = r_t + gamma V_{t+1} - V_t,    A_t = delta_t + gamma lambda A_{t+1}

    The value after the last real token is 0: the episode is over.

    Args:
        rewards, values: (B, R); V_t is the value before token t is sampled.
        mask: (B, R), real tokens first, padding after them.

    Returns:
        advantages and returns (advantages + values), both (B, R), 0 where not ``mask``.
    """
    rewards = torch.where(mask, rewards, torch.zeros_like(rewards))
    values = torch.where(mask, values, torch.zeros_like(values))
    running = torch.zeros_like(rewards[:, 0])
    following = torch.zeros_like(running)
    advantages = torch.zeros_like(rewards)
    for t in reversed(range(rewards.shape[1])):
        delta = rewards[:, t] + gamma * following - values[:, t]
        # under padding delta and running are 0, so the recursion starts at the last real token
        running = delta + gamma * lam * running
        advantages[:, t] = running
        following = values[:, t]
    return advantages, advantages + values


@dataclass(frozen=True)
class PolicyLoss:
    """loss: scalar with gradient; the rest: sums over real tokens, without."""

    loss: Tensor
    approx_kl_sum: Tensor  # k2 of the policy that sampled from the policy now
    clipped_sum: Tensor  # tokens on which the clip took the gradient away
    ratio_sum: Tensor
    clamped: Tensor  # tokens whose log-ratio hit MAX_LOG_RATIO


def policy_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    cliprange: float,
    count: Tensor | int | None = None,
) -> PolicyLoss:
    """Clipped surrogate, negated (Schulman et al. 2017, equation 7).

        -mean(min(rho A, clip(rho, 1 - eps, 1 + eps) A)),    rho = exp(log pi - log pi_old)

    Args:
        logprobs: (B, R), with gradient. The others have none.
        count: tokens to divide by; None = those of ``mask``. A micro-batch passes the number of
            its whole optimizer step.
    """
    raw = torch.where(mask, logprobs - old_logprobs, torch.zeros_like(logprobs))
    log_ratio = raw.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    ratio = log_ratio.exp()
    plain = -advantages * ratio
    clipped = -advantages * ratio.clamp(1.0 - cliprange, 1.0 + cliprange)
    loss = masked_mean(torch.maximum(plain, clipped), mask, count)
    with torch.no_grad():
        return PolicyLoss(
            loss=loss,
            approx_kl_sum=masked_sum(0.5 * raw**2, mask),
            clipped_sum=masked_sum((clipped > plain).float(), mask),
            ratio_sum=masked_sum(ratio, mask),
            clamped=(raw.abs() > MAX_LOG_RATIO).sum(),
        )


def value_loss(
    values: Tensor,
    old_values: Tensor,
    returns: Tensor,
    mask: Tensor,
    cliprange: float,
    count: Tensor | int | None = None,
) -> tuple[Tensor, Tensor]:
    """Half the squared error, clipped around the old value (Huang et al. 2024, detail 8).

        0.5 mean(max((V - G)^2, (clip(V, V_old - eps, V_old + eps) - G)^2))

    Args:
        values: (B, R), with gradient. The others have none.
        count: as in :func:`policy_loss`.

    Returns:
        the loss (scalar), and the number of tokens on which the clip took the gradient away.
    """
    clipped = old_values + (values - old_values).clamp(-cliprange, cliprange)
    plain_error, clipped_error = (values - returns) ** 2, (clipped - returns) ** 2
    loss = 0.5 * masked_mean(torch.maximum(plain_error, clipped_error), mask, count)
    return loss, masked_sum((clipped_error > plain_error).float(), mask).detach()


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> Tensor:
    """1 - Var(G - V) / Var(G) over real tokens: 1 = perfect, 0 = a constant would do as well."""
    error, target = returns - values, returns

    def variance(x: Tensor) -> Tensor:
        return masked_mean((x - masked_mean(x, mask)) ** 2, mask)

    return 1.0 - variance(error) / variance(target).clamp(min=1e-12)
