"""Five questions whose answers are known, asked of the trainers; every number is a sum over all
responses."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rlhf_compare.best_of_n.sampler import kl_bound
from rlhf_compare.world.displacement import SETTINGS, displaced
from rlhf_compare.world.displacement import STEPS as MARKED_STEPS
from rlhf_compare.world.enumerable import EnumerableWorld, echo_reward, response_logps
from rlhf_compare.world.names import DPO_NAME, PPO_NAME
from rlhf_compare.world.optimum import (
    best_of_n_logps,
    expectation,
    frontier,
    kl,
    log_partition,
    optimum_logps,
    reward_at,
    standing,
)
from rlhf_compare.world.pairs import Labels, draw_pairs
from rlhf_compare.world.training import DPO, PPO, Progress, Visit, train_dpo, train_ppo

TUNING_SEEDS = (0, 10, 11, 12)  # of the worlds that the settings were chosen on; never reported
_SMALL: dict[str, Any] = {"per_device_train_batch_size": 256, "lr_scheduler_type": "constant"}
DRIFT = {**_SMALL, "learning_rate": 5e-4, "max_steps": 250}
PARTIAL = {**_SMALL, "learning_rate": 3e-3, "max_steps": 150}
STEPS = sum(s["max_steps"] for s in (PPO, DPO, DRIFT, PARTIAL)) + MARKED_STEPS  # of one world
_SHOWN = 6  # responses to each prompt that the pairs of question 3 show
_SCALES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
_BEST_OF = (1, 2, 4, 8, 16, 32, 64, 128)
_BETAS = tuple(0.6 * 2.0 ** (k / 4) for k in range(-12, 21))


def _reward(prompt: Any, response: Any) -> float:
    return 2.0 * echo_reward(prompt, response)


def oracle_world() -> EnumerableWorld:
    """4 prompts with 21 responses each; the reward lies between -1 and 3, in steps of a half."""
    return EnumerableWorld(
        prompts=((0,), (2,), (1, 2), (3, 0)), max_length=2, reward=_reward, beta=0.6
    )


def ask(seed: int, progress: Progress) -> dict[str, Any]:
    """Everything about the world whose reference has the weights of ``seed``.

    Args:
        progress: called with 1, ``STEPS`` times.
    """
    world = oracle_world()
    ref = response_logps(world, world.reference(seed))
    ppo = train_ppo(world, seed, progress)
    drawn = _dpo(world, seed, progress, "drawn", DPO)
    deterministic = _dpo(world, seed, progress, "deterministic", DRIFT)
    shown = best_responses(world.rewards, _SHOWN)
    partial = _dpo(world, seed, progress, "drawn", PARTIAL, shown)[-1].logps
    best = optimum_logps(ref, world.rewards, world.beta)
    policies = {"reference": ref, "optimum": best, PPO_NAME: ppo[-1].logps, DPO_NAME: partial}
    return {
        "seed": seed,
        "equivalence": {
            "reference": asdict(standing(ref, ref, world.rewards, world.beta)),
            "optimum": asdict(standing(best, ref, world.rewards, world.beta)),
            **{
                name: {
                    **asdict(standing(visits[-1].logps, ref, world.rewards, world.beta)),
                    "implied_reward": implied_reward(visits[-1].logps, ref, world),
                }
                for name, visits in ((PPO_NAME, ppo), (DPO_NAME, drawn))
            },
        },
        "drift": {
            "optimum_kl": mean(kl(best, ref)),
            "highest_kl": mean(highest_kl(ref, world.rewards)),
            "paths": {
                name: path(visits, ref)
                for name, visits in (
                    (PPO_NAME, ppo),
                    (DPO_NAME, drawn),
                    ("deterministic", deterministic),
                )
            },
            "loss_by_scale": loss_by_scale(world.rewards, ref, world.beta),
        },
        "coverage": {name: unseen(logps, ref, best, ~shown) for name, logps in policies.items()},
        "best_of_n": [best_of_n(ref, world.rewards, n) for n in _BEST_OF],
        "frontier": [frontier(ref, world.rewards, beta) for beta in _BETAS],
        "displacement": displaced(seed, progress),
    }


def _dpo(
    world: EnumerableWorld,
    seed: int,
    progress: Progress,
    labels: Labels,
    settings: dict[str, Any],
    shown: Tensor | None = None,
) -> list[Visit]:
    count = settings["per_device_train_batch_size"] * settings["max_steps"]  # each is used once
    pairs = draw_pairs(world, labels, count, seed, shown)
    return train_dpo(world, seed, pairs, progress, **settings)


def mean(values: Tensor) -> float:
    """Over the prompts."""
    return float(values.mean())


def implied_reward(logps: Tensor, ref: Tensor, world: EnumerableWorld) -> dict[str, float]:
    """beta log(pi / pi_ref) + beta log Z against the gold reward, over all prompts and responses.

    Rafailov et al. 2023, equation 5. Z is that of the gold reward, so that of pi* the error is 0.
    """
    partition = log_partition(ref, world.rewards, world.beta).unsqueeze(1)
    implied = world.beta * (logps - ref + partition)
    both = torch.stack([implied.flatten(), world.rewards.flatten()])
    errors = implied - world.rewards
    return {
        "correlation": float(torch.corrcoef(both)[0, 1]),
        "largest_error": float(errors.abs().max()),
        "root_mean_square_error": float(errors.square().mean().sqrt()),
    }


def highest_kl(ref: Tensor, rewards: Tensor) -> Tensor:
    """KL of the policy that says the responses of highest reward alone, where scaling the reward
    without end leads: (N,)."""
    best = rewards == rewards.amax(1, keepdim=True)
    return -ref.masked_fill(~best, -torch.inf).logsumexp(1)


def path(visits: list[Visit], ref: Tensor) -> list[dict[str, float]]:
    """KL to the reference, and the spread of the log-ratios (highest less lowest), in nats."""
    return [
        {
            "updates": visit.updates,
            "kl": mean(kl(visit.logps, ref)),
            "spread": mean((visit.logps - ref).amax(1) - (visit.logps - ref).amin(1)),
        }
        for visit in visits
    ]


def loss_by_scale(rewards: Tensor, ref: Tensor, beta: float) -> list[dict[str, float]]:
    """DPO's loss, over all pairs of different reward, of the policy whose implied reward is the
    gold reward times a scale.

    With labels drawn from Bradley-Terry its least value is at scale 1, which is pi*; with
    deterministic labels every larger scale has a smaller loss.
    """
    margins = rewards.unsqueeze(2) - rewards.unsqueeze(1)
    margins = margins[margins > 0]
    rows = []
    for scale in _SCALES:
        right, wrong = -F.logsigmoid(scale * margins), -F.logsigmoid(-scale * margins)
        chance = torch.sigmoid(margins)
        drawn = chance * right + (1 - chance) * wrong
        at_scale = optimum_logps(ref, scale * rewards, beta)
        rows.append(
            {
                "scale": scale,
                "kl": mean(kl(at_scale, ref)),
                "drawn": float(drawn.mean()),
                "deterministic": float(right.mean()),
            }
        )
    return rows


def best_responses(rewards: Tensor, count: int) -> Tensor:
    """The ``count`` responses to each prompt that the gold reward likes best: (N, Y) boolean."""
    order = rewards.argsort(dim=1, descending=True, stable=True)
    return torch.zeros_like(rewards, dtype=torch.bool).scatter(1, order[:, :count], True)


def unseen(logps: Tensor, ref: Tensor, best: Tensor, where: Tensor) -> dict[str, float]:
    """What a policy does to the responses at ``where`` (N, Y), which no pair shows.

    ``lifted`` is the share that became more likely, among those that the optimum makes less
    likely; ``largest_lift`` is the largest pi / pi_ref among the same.
    """
    wrong = where & (best < ref)
    ratios = (logps - ref)[wrong].exp()
    return {
        "mass": mean((logps.exp() * where).sum(1)),
        "lifted": float((ratios > 1 + 1e-6).double().mean()),
        "largest_lift": float(ratios.max()),
    }


def best_of_n(ref: Tensor, rewards: Tensor, n: int) -> dict[str, float]:
    """KL, its bound and reward of the exact best-of-n policy, and the most reward at that KL."""
    logps = best_of_n_logps(ref, rewards, n)
    spent = mean(kl(logps, ref))
    return {
        "n": n,
        "kl": spent,
        "bound": kl_bound(n),
        "reward": mean(expectation(logps, rewards)),
        "frontier_reward": reward_at(spent, ref, rewards),
    }


def consult(
    seeds: tuple[int, ...], progress: Progress, say: Callable[[int], Any]
) -> dict[str, Any]:
    """The answers of every world, and the settings that they were got with."""
    worlds = []
    for seed in seeds:
        say(seed)
        worlds.append(ask(seed, progress))
    world = oracle_world()
    return {
        "tuning_seeds": list(TUNING_SEEDS),
        "seeds": list(seeds),
        "beta": world.beta,
        "prompts": len(world.prompts),
        "responses": len(world.responses.ids),
        "shown": _SHOWN,
        "reward": {"lowest": float(world.rewards.min()), "highest": float(world.rewards.max())},
        "settings": {
            PPO_NAME: PPO,
            DPO_NAME: DPO,
            "drift": DRIFT,
            "partial": PARTIAL,
            "displacement": SETTINGS,
        },
        "torch": torch.__version__,
        "worlds": worlds,
    }
