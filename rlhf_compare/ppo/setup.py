"""Prompts and arguments of a PPO run, checked before its first iteration."""

import copy
import math
from typing import Any

from datasets import Dataset

from rlhf_compare.ppo.config import PPOConfig
from rlhf_compare.ppo.prompts import encode_prompts


def encode_each(prompts: Any, tokenizer: Any) -> dict[str, Dataset]:
    """Encoded sets of prompts by their names; a set without a name is called ""."""
    sets = prompts if isinstance(prompts, dict) else {"": prompts}
    return {
        name: encode_prompts(part, tokenizer) for name, part in sets.items() if part is not None
    }


def longest_prompt(*sets: Dataset) -> int:
    """Tokens of the longest prompt in sets of encoded prompts."""
    return max(len(ids) for prompts in sets for ids in prompts["input_ids"])


def processes_of(args: PPOConfig) -> int:
    """How many processes train together."""
    return args.world_size or 1


def require_one_rollout(prompts: int, args: PPOConfig) -> None:
    """Raises ValueError where one rollout has more episodes than there are prompts."""
    needed = args.episodes_per_process * processes_of(args)
    if prompts < needed:
        raise ValueError(
            f"{prompts} prompts are fewer than one rollout of {needed} episodes "
            f"({args.per_device_train_batch_size} per_device_train_batch_size x "
            f"{args.gradient_accumulation_steps} gradient_accumulation_steps x {args.world_size} "
            "processes); lower one of the first two"
        )


def iteration_arguments(args: PPOConfig, prompts: int) -> PPOConfig:
    """The Trainer's copy of the settings. One Trainer step is one PPO iteration, so the Trainer
    must not accumulate gradients."""
    view = copy.copy(args)
    view.gradient_accumulation_steps = 1
    view.dataloader_drop_last = True  # every rollout has the full size
    if args.max_steps <= 0:
        episodes = args.total_episodes or int(args.num_train_epochs * prompts)
        view.max_steps = math.ceil(episodes / (args.episodes_per_process * processes_of(args)))
    return view
