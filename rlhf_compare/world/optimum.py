"""The optimum of E[r] - beta KL(pi || pi_ref) where every response is listed, and the gap to it.

    pi* = pi_ref exp(r / beta) / Z,    J* = beta log Z,    J(pi) = J* - beta KL(pi || pi*)

(Rafailov et al. 2023, equation 4 and appendix A.1). The last identity holds for every policy, so
a method is judged by its distance from pi* instead of by another method.

Dimensions: N prompts, Y responses (all that there are). ``*_logps`` are log-probabilities of
whole responses, (N, Y), finite, float64; the probabilities of a row sum to 1.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from rlhf_compare.tensors.masked import masked_sum


def expectation(logps: Tensor, values: Tensor) -> Tensor:
    """E_pi[values] of every prompt: (N, Y) and (N, Y) to (N,)."""
    mass = logps.exp()
    # a response that is never said counts nothing, even where its value is infinite
    return masked_sum(mass * values, mass > 0, dim=1)


def kl(logps: Tensor, other_logps: Tensor) -> Tensor:
    """KL(pi || other) of every prompt, in nats per response: (N,)."""
    return expectation(logps, logps - other_logps)


def objective(logps: Tensor, ref_logps: Tensor, rewards: Tensor, beta: float) -> Tensor:
    """J(pi) = E_pi[r] - beta KL(pi || pi_ref) of every prompt: (N,)."""
    return expectation(logps, rewards) - beta * kl(logps, ref_logps)


def log_partition(ref_logps: Tensor, rewards: Tensor, beta: float) -> Tensor:
    """log Z = log E_ref[exp(r / beta)] of every prompt: (N,); J* is beta times it."""
    return torch.logsumexp(ref_logps + rewards / beta, dim=1)


def optimum_logps(ref_logps: Tensor, rewards: Tensor, beta: float) -> Tensor:
    """log pi* = log pi_ref + r / beta - log Z: (N, Y)."""
    return ref_logps + rewards / beta - log_partition(ref_logps, rewards, beta).unsqueeze(1)


def best_of_n_logps(ref_logps: Tensor, rewards: Tensor, n: int) -> Tensor:
    """Distribution of the best of ``n`` samples by the gold reward, one of the tied drawn: (N, Y).

    P(best has reward v) = F(v)^n - F(v-)^n with F the reference's distribution of the reward;
    among the responses of one reward the reference's proportions stay.

    Raises:
        ValueError: ``n`` is under 1.
    """
    if n < 1:
        raise ValueError(f"best of n needs n >= 1, got {n}")
    rows = []
    for logps, values in zip(ref_logps, rewards, strict=True):
        levels, level = values.unique(return_inverse=True)  # rewards from the lowest up
        empty = torch.full((len(levels), len(values)), -torch.inf, dtype=logps.dtype)
        mass = empty.scatter(0, level.unsqueeze(0), logps.unsqueeze(0)).logsumexp(1)
        below_or_at = mass.logcumsumexp(0)
        below = torch.cat([below_or_at.new_full((1,), -torch.inf), below_or_at[:-1]])
        # log(F^n - F-^n) without the difference of two numbers near 1
        best = n * below_or_at + torch.log1p(-torch.exp(n * (below - below_or_at)))
        rows.append(logps + (best - mass)[level])
    return torch.stack(rows)


def frontier(ref_logps: Tensor, rewards: Tensor, beta: float) -> dict[str, float]:
    """KL and reward of the optimum for ``beta``, means over the prompts: no policy has more reward
    at the same KL."""
    logps = optimum_logps(ref_logps, rewards, beta)
    return {
        "beta": beta,
        "kl": float(kl(logps, ref_logps).mean()),
        "reward": float(expectation(logps, rewards).mean()),
    }


def reward_at(spent: float, ref_logps: Tensor, rewards: Tensor) -> float:
    """The most mean reward that a policy has at a mean KL of ``spent``: that of the optimum with
    this KL, by bisection over log beta; KL falls in beta. Where more is spent than the policy that
    says the best responses alone needs, its reward."""
    low, high = math.log(1e-3), math.log(1e6)
    for _ in range(60):
        middle = (low + high) / 2
        if frontier(ref_logps, rewards, math.exp(middle))["kl"] > spent:
            low = middle
        else:
            high = middle
    return frontier(ref_logps, rewards, math.exp(high))["reward"]


def population_dpo_loss(
    log_ratios: Tensor, ref_logps: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    """DPO's loss with every pair there is (Rafailov et al. 2023, equation 7), mean over prompts.

    Both responses come from the reference and Bradley-Terry on the gold reward says which is
    chosen, so P(chosen = i, rejected = j) = 2 pi_ref(i) pi_ref(j) sigmoid(r_i - r_j).

    Args:
        log_ratios: (N, Y), log pi - log pi_ref up to a constant per prompt; may have a gradient.

    Returns:
        scalar; its minimiser over all ``log_ratios`` is that of pi*.
    """

    def differences(x: Tensor) -> Tensor:
        return x.unsqueeze(2) - x.unsqueeze(1)

    pairs = 2 * (ref_logps.unsqueeze(2) + ref_logps.unsqueeze(1)).exp()
    chosen = torch.sigmoid(differences(rewards))
    losses = -F.logsigmoid(beta * differences(log_ratios))
    return (pairs * chosen * losses).sum((1, 2)).mean()


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One policy, as means over the prompts; KL in nats per response."""

    reward: float  # E_pi[r]
    kl_to_reference: float
    kl_to_optimum: float
    objective: float  # J(pi)
    best_objective: float  # J*
    gap: float  # (J* - J) / (J* - J(pi_ref)): 0 = the optimum, 1 = no better than the reference


def standing(logps: Tensor, ref_logps: Tensor, rewards: Tensor, beta: float) -> Standing:
    """Judge the policy whose responses have ``logps``.

    Raises:
        ValueError: the reference is optimal already, so there is no gap to close.
    """
    best = beta * log_partition(ref_logps, rewards, beta).mean()
    reached = objective(logps, ref_logps, rewards, beta).mean()
    room = best - expectation(ref_logps, rewards).mean()
    if room < 1e-9:
        raise ValueError(f"J* - J(reference) is {float(room)}: the reward changes nothing")
    return Standing(
        reward=float(expectation(logps, rewards).mean()),
        kl_to_reference=float(kl(logps, ref_logps).mean()),
        kl_to_optimum=float(kl(logps, optimum_logps(ref_logps, rewards, beta)).mean()),
        objective=float(reached),
        best_objective=float(best),
        gap=float((best - reached) / room),
    )
