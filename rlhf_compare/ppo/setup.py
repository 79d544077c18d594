"""What a trainer settles before its first iteration."""

import copy
import math
from typing import Any

import torch
from peft import LoraConfig, PeftModel

from rlhf_compare.models.adapters import POLICY, REWARD, VALUE, AdapterBackbone, Hats
from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.models.policy import causal_lm
from rlhf_compare.models.scoring import as_scalar_head
from rlhf_compare.ppo.config import PPOConfig


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


def adapters_of(model: Any, config: LoraConfig | None) -> Hats | None:
    """The adapters of a policy: new ones where a configuration is given, those of a PEFT model, or
    None where the whole model trains.

    Raises:
        ValueError: a PEFT model together with a configuration, or one without a policy adapter.
    """
    if isinstance(model, PeftModel):
        if config is not None:
            raise ValueError("model has adapters already; leave peft_config out")
        if POLICY not in model.peft_config:
            names = ", ".join(model.peft_config)
            raise ValueError(f"the policy's adapter must be named {POLICY!r}, this has {names}")
        return Hats(model)
    return None if config is None else Hats.on(model, config)


def new_critic(reward_model: Any, policy: Any, hats: Hats | None) -> ScalarHeadModel:
    """A value model: a copy of the reward model, which knows what is paid for; where the reward is
    a function, or sees what comes after a token, a copy of the policy's trunk with a head that
    starts at 0. With adapters it is one more of them: a copy of the reward's where that lives on
    the same base."""
    scalar = as_scalar_head(reward_model)
    if hats is not None:
        return _adapter_critic(scalar, hats)
    if scalar is not None and is_causal(scalar):
        return copy.deepcopy(scalar)
    return ScalarHeadModel(copy.deepcopy(causal_lm(policy).base_model), init_std=0.0)


@torch.no_grad()
def is_causal(model: ScalarHeadModel) -> bool:
    """Whether a value does not change with the tokens after it, asked by trying: a critic that sees
    the action makes the baseline depend on it, and the policy gradient wrong."""
    was_training = model.training
    model.eval()
    ids = torch.tensor([[0, 1, 0, 0], [0, 1, 0, 1]], device=model.head.weight.device)
    values = model.token_values(ids)
    model.train(was_training)
    return torch.allclose(values[0, :3], values[1, :3], rtol=1e-4, atol=1e-6)


def _adapter_critic(reward: ScalarHeadModel | None, hats: Hats) -> ScalarHeadModel:
    hats.add(VALUE, hats.model.peft_config[POLICY])
    critic = ScalarHeadModel(AdapterBackbone(hats, VALUE), init_std=0.0)
    theirs = reward.backbone if reward is not None else None
    if (
        reward is not None
        and isinstance(theirs, AdapterBackbone)
        and theirs.hats.model is hats.model
    ):
        pairs = zip(hats.parameters_of(VALUE), hats.parameters_of(REWARD), strict=True)
        for value, source in pairs:
            value.data.copy_(source.data)
        critic.head.load_state_dict(reward.head.state_dict())
        critic.bias.copy_(reward.bias)
    return critic
