"""What a trainer settles before its first iteration."""

import copy
import logging
import math
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from peft.utils.other import ModulesToSaveWrapper
from torch import nn

from rlhf_compare.models.adapter_trial import same_logits, short_logits, undisturbed
from rlhf_compare.models.adapters import (
    POLICY,
    VALUE,
    AdapterBackbone,
    AdapterSwitch,
    adapter_parameters,
)
from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.models.wrapping import causal_lm
from rlhf_compare.ppo.config import PPOConfig
from rlhf_compare.ppo.prompts import encode_prompts

_log = logging.getLogger(__name__)


def encode_each(prompts: Any, tokenizer: Any) -> dict[str, Dataset]:
    """Encoded sets of prompts by their names; a set that has no name is called ""."""
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
    """The Trainer's view: one step = one iteration, so accumulation is none of its business."""
    view = copy.copy(args)
    view.gradient_accumulation_steps = 1
    view.dataloader_drop_last = True  # every rollout has the full size
    if args.max_steps <= 0:
        episodes = args.total_episodes or int(args.num_train_epochs * prompts)
        view.max_steps = math.ceil(episodes / (args.episodes_per_process * processes_of(args)))
    return view


def adapters_of(model: Any, config: Any, args: PPOConfig) -> AdapterSwitch | None:
    """The adapters of a policy: new ones where a configuration is given, those of a PEFT model, or
    None where the whole model trains.

    Raises:
        TypeError: an adapter is no low-rank one.
        ValueError: a PEFT model together with a configuration; several adapters of which none is
            said to be the policy's; an adapter that cannot be taken off.
    """
    if not isinstance(model, PeftModel):
        for name in ("model_adapter_name", "ref_adapter_name"):
            if getattr(args, name) is not None:
                raise ValueError(f"{name}: {getattr(args, name)!r}, but model is no PEFT model")
        adapters = None if config is None else AdapterSwitch.on(model, config)
    elif config is not None:
        raise ValueError("model has adapters already; leave peft_config out")
    else:
        adapters = AdapterSwitch.of(model, _policy_adapter(list(model.peft_config), args))
    if adapters is None:
        return None
    dropout = adapters.model.peft_config[adapters.first].lora_dropout
    if dropout:
        _log.warning("lora_dropout: %s is off: PPO compares a policy with itself", dropout)
    if config is None and args.ref_adapter_name is None and _acts(adapters):
        _log.warning(
            "the policy's adapter %r has been trained before: the reference is the base without it",
            adapters.first,
        )
    return adapters


def _policy_adapter(names: list[str], args: PPOConfig) -> str:
    """Which of a PEFT model's adapters trains."""
    reference, wanted = args.ref_adapter_name, args.model_adapter_name
    for field, name in (("ref_adapter_name", reference), ("model_adapter_name", wanted)):
        if name is not None and name not in names:
            raise ValueError(f"{field}: {name!r} is not among the adapters {', '.join(names)}")
    others = [name for name in names if name != reference]
    if wanted is not None and wanted in others:
        return wanted
    if len(others) == 1:
        return others[0]
    if POLICY in others:
        return POLICY
    raise ValueError(
        f"model has the adapters {', '.join(names)}: name the one that trains in "
        f"model_adapter_name, or name it {POLICY!r}"
    )


def _acts(adapters: AdapterSwitch) -> bool:
    """Whether the policy's adapter changes the base already."""
    with undisturbed(adapters.model), adapters.active(None):
        off = short_logits(adapters.model)
        with adapters.active(adapters.first):
            return not same_logits(short_logits(adapters.model), off, off.dtype, steps=64.0)


def require_models(**models: Any) -> None:
    """Raises TypeError where a policy or reference is no model, say a path."""
    for role, model in models.items():
        if model is not None and not isinstance(model, nn.Module):
            raise TypeError(
                f"{role}: {model!r} is no model; load it with AutoModelForCausalLM.from_pretrained"
            )


def require_apart(trained: dict[str, Any], frozen: dict[str, Any]) -> None:
    """Raises ValueError where a model that trains shares weights with one that must not, or with
    another one that trains."""
    owner: dict[int, str] = {}
    for role, model in trained.items():
        for parameter in model.parameters() if model is not None else ():
            other = owner.setdefault(id(parameter), role)
            if parameter.requires_grad and other != role:
                raise ValueError(f"{other} and {role} share weights: give one of them a copy")
    training = {
        id(p): role
        for role, model in trained.items()
        if model is not None
        for p in model.parameters()
        if p.requires_grad
    }
    for role, model in frozen.items():
        for parameter in model.parameters() if model is not None else ():
            if id(parameter) in training:
                raise ValueError(
                    f"{training[id(parameter)]} and {role} share weights, so {role} would train "
                    "along; give one of them a copy (copy.deepcopy)"
                )


def let_critic_train(critic: ScalarHeadModel) -> None:
    """What of a critic trains: what its owner left trainable; where all is frozen (a reward model's
    copy, an adapter from disk), its adapter and what PEFT trains beside it, or else all of it."""
    adapted = adapter_parameters(critic)
    modules = [m for m in critic.modules() if isinstance(m, ModulesToSaveWrapper)]
    beside = [
        p for m in modules for n in m.active_adapters for p in m.modules_to_save[n].parameters()
    ]
    chosen = [*adapted, *beside] if adapted or beside else list(critic.parameters())
    if not any(p.requires_grad for p in chosen):
        for parameter in chosen:
            parameter.requires_grad_(True)


def new_critic(
    scalar: ScalarHeadModel | None, policy: Any, adapters: AdapterSwitch | None
) -> ScalarHeadModel:
    """A value model: a copy of the reward model, which knows what is paid for; where the reward is
    a function, or sees what comes after a token, a copy of the policy's trunk with a head that
    starts at 0. With adapters it is one more of them: a copy of the reward's where that lives on
    the same base. ``scalar`` is the reward model, None where that is a function."""
    if adapters is not None:
        return _adapter_critic(scalar, adapters)
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


def _adapter_critic(reward: ScalarHeadModel | None, adapters: AdapterSwitch) -> ScalarHeadModel:
    theirs = reward.backbone if reward is not None else None
    beside = isinstance(theirs, AdapterBackbone) and theirs.adapters.model is adapters.model
    source: str = theirs.name if beside else adapters.first  # type: ignore[union-attr]
    config = copy.deepcopy(adapters.model.peft_config[source])
    config.inference_mode = False
    if config.init_lora_weights is False:  # so the policy's once began; this one is new
        config.init_lora_weights = True
    name = VALUE
    while name in adapters.model.peft_config:  # the policy's own may be called so
        name += "_model"
    adapters.add(name, config)
    critic = ScalarHeadModel(AdapterBackbone(adapters, name), init_std=0.0)
    if reward is not None and beside:
        pairs = zip(adapters.parameters_of(name), adapters.parameters_of(source), strict=True)
        for value, given in pairs:
            value.data.copy_(given.data)
        critic.head.load_state_dict(reward.head.state_dict())
        critic.bias.copy_(reward.bias)
    return critic
