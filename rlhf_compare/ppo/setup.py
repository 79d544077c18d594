"""What a trainer settles before its first iteration."""

import copy
import math
from typing import Any

from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.models.policy import causal_lm
from rlhf_compare.ppo.config import PPOConfig
from rlhf_compare.ppo.scoring import as_scalar_head


def require_one_rollout(prompts: int, args: PPOConfig) -> None:
    """Raises ValueError where one rollout has more episodes than there are prompts."""
    needed = args.local_batch_size * args.world_size
    if prompts < needed:
        raise ValueError(
            f"{prompts} prompts are fewer than one rollout of {needed} episodes "
            f"({args.per_device_train_batch_size} per_device_train_batch_size x "
            f"{args.gradient_accumulation_steps} gradient_accumulation_steps x {args.world_size} "
            "processes); lower one of the first two"
        )


def iteration_arguments(args: PPOConfig, prompts: int) -> PPOConfig:
    """The Trainer's view: one step = one iteration, so accumulation is none of its business."""
    view = copy.copy(args)
    view.gradient_accumulation_steps = 1
    view.dataloader_drop_last = True  # every rollout has the full size
    if args.max_steps <= 0:
        episodes = args.total_episodes or int(args.num_train_epochs * prompts)
        view.max_steps = math.ceil(episodes / (args.local_batch_size * args.world_size))
    return view


def new_critic(reward_model: Any, policy: Any) -> ScalarHeadModel:
    """A value model: a copy of the reward model, which knows what is paid for; where the reward is
    a function, a copy of the policy's trunk with a head that starts at 0."""
    scalar = as_scalar_head(reward_model)
    if scalar is not None:
        return copy.deepcopy(scalar)
    return ScalarHeadModel(copy.deepcopy(causal_lm(policy).base_model), init_std=0.0)
