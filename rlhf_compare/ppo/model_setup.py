"""The four models of a PPO run: completed, checked against each other and prepared for training."""

import copy
import logging
from dataclasses import dataclass
from typing import Any

import torch
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
from rlhf_compare.models.fit import float32_where_trained, in_one_precision
from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.models.policy import disable_dropout, fuse_activations
from rlhf_compare.models.scoring import as_scalar_head
from rlhf_compare.models.wrapping import causal_lm
from rlhf_compare.ppo.config import PPOConfig

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PPOModels:
    """Policy, reference, value model and reward model.

    policy        trains; a PEFT model where adapters train
    reference     None = the policy's base with its adapters off
    value_model   trains; None = a head on the policy's trunk
    reward_model  never trains; None = the reward is a function of texts
    adapters      the policy's; None = every weight of the policy trains
    """

    policy: Any
    reference: Any
    value_model: ScalarHeadModel | None
    reward_model: ScalarHeadModel | None
    adapters: AdapterSwitch | None

    def by_argument(self) -> dict[str, Any]:
        """The models under the names of PPOTrainer's arguments."""
        return {
            "model": self.policy,
            "ref_model": self.reference,
            "value_model": self.value_model,
            "reward_model": self.reward_model,
        }


def prepare_models(
    args: PPOConfig,
    policy: Any,
    reference: Any,
    reward_model: Any,
    value_model: Any,
    peft_config: Any,
) -> PPOModels:
    """The models that PPOTrainer is given, with those that it makes itself where one is None.

    Dropout is off afterwards. Weights that train are float32.

    Raises:
        ValueError: models that share weights, a value model that sees later tokens, an adapter that
            cannot be taken off, settings that contradict the models.
        TypeError: a model is of another kind.
    """
    scoring = as_scalar_head(reward_model)
    adapters = adapters_of(policy, peft_config, args)
    if adapters is not None:
        policy = adapters.model
        if args.reference_ema is not None:
            raise ValueError("reference_ema moves a copy of the whole policy; leave adapters out")
    float32_where_trained(policy)  # before the reference is copied
    if reference is not None:
        in_one_precision(policy, reference)
    elif adapters is None:
        reference = copy.deepcopy(policy)
    critic = _critic(args, value_model, scoring, policy, adapters)
    for model in (policy, reference, critic, scoring):
        if model is not None:
            disable_dropout(model)
            fuse_activations(model)
    if critic is not None and not is_causal(critic):
        raise ValueError("value_model: its values see the tokens after them; give a causal one")
    require_apart(
        {"model": policy, "value_model": critic},
        {"ref_model": reference, "reward_model": scoring},
    )
    return PPOModels(
        policy=policy,
        reference=reference,
        value_model=critic,
        reward_model=scoring,
        adapters=adapters,
    )


def _critic(
    args: PPOConfig,
    given: Any,
    scoring: ScalarHeadModel | None,
    policy: Any,
    adapters: AdapterSwitch | None,
) -> ScalarHeadModel | None:
    """The value model; None where it is a head on the policy's trunk."""
    if args.value_trunk == "shared":
        if given is not None:
            raise ValueError("value_trunk: shared has no value_model of its own; leave one out")
        return None
    if given is None:
        critic: ScalarHeadModel | None = new_critic(scoring, policy, adapters)
    else:
        critic = as_scalar_head(given, "value_model")
    if critic is None:
        raise TypeError("value_model: a function has no weights to train; give a model or None")
    let_critic_train(critic)
    return critic


def adapters_of(model: Any, config: Any, args: PPOConfig) -> AdapterSwitch | None:
    """The adapters of a policy: new ones where a configuration is given, those of a PEFT model, or
    None where the whole model trains.

    Raises:
        TypeError: an adapter is no low-rank one.
        ValueError: a PEFT model together with a configuration; several adapters, and none is named
            as the policy's; an adapter that cannot be taken off.
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
    """Raises TypeError where a policy or reference is no model but, for instance, a path."""
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
    """Make sure that a critic trains.

    If some weight is trainable, nothing changes. If all are frozen (a copy of a reward model, an
    adapter from disk), the adapter trains with the modules that PEFT trains beside it; a critic
    without an adapter trains whole.
    """
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
    """A new value model.

    It is a copy of the reward model, which already knows what is rewarded. If the reward is a
    function, or its model sees later tokens, it is a copy of the policy's trunk with a head that
    starts at 0. With adapters it is one more adapter: a copy of the reward model's adapter if that
    is on the same base, else a new one. ``scalar`` is the reward model; None = a function.
    """
    if adapters is not None:
        return _adapter_critic(scalar, adapters)
    if scalar is not None and is_causal(scalar):
        return copy.deepcopy(scalar)
    return ScalarHeadModel(copy.deepcopy(causal_lm(policy).base_model), init_std=0.0)


@torch.no_grad()
def is_causal(model: ScalarHeadModel) -> bool:
    """Whether a value is independent of the tokens after it; tested with a forward pass. If a
    critic sees the action, the baseline depends on the action, and the policy gradient is wrong."""
    was_training = model.training
    model.eval()
    ids = torch.tensor([[0, 1, 0, 0], [0, 1, 0, 1]], device=model.head.weight.device)
    values = model.token_values(ids)
    model.train(was_training)
    return torch.allclose(values[0, :3], values[1, :3], rtol=1e-4, atol=1e-6)


def _adapter_critic(reward: ScalarHeadModel | None, adapters: AdapterSwitch) -> ScalarHeadModel:
    trunk = reward.backbone if reward is not None else None
    beside = isinstance(trunk, AdapterBackbone) and trunk.adapters.model is adapters.model
    source: str = trunk.name if beside else adapters.first  # type: ignore[union-attr]
    config = copy.deepcopy(adapters.model.peft_config[source])
    config.inference_mode = False
    # the policy's adapter was created with this setting; the critic's is a new one
    if config.init_lora_weights is False:
        config.init_lora_weights = True
    name = VALUE
    while name in adapters.model.peft_config:  # the policy's adapter may have this name
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
