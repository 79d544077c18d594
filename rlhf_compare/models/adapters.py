"""Policy, value model and reward model as LoRA adapters on one frozen base model.

With all adapters off, the base is the reference, bit for bit, and costs no memory.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import nn
from torch.utils.checkpoint import checkpoint

from rlhf_compare.errors import RecipeError, first_line
from rlhf_compare.models.adapter_trial import (
    adapter_fault,
    configuration_fault,
    kind_fault,
    same_logits,
    short_logits,
    undisturbed,
)
from rlhf_compare.models.heads import Pooling, ScalarHeadModel
from rlhf_compare.models.policy import load_policy
from rlhf_compare.models.wrapping import causal_lm

POLICY, VALUE, REWARD = "policy", "value", "reward"


class AdapterSwitch:
    """Adapters on one base. One adapter is active at a time; the default is the policy's.

    PEFT's own switches also change ``requires_grad``: they freeze every adapter that is off, so
    policy and value could not train in one backward. The switches here change the choice alone.

    Attributes:
        model: the PEFT model; its base never trains.
        first: the adapter that is active by default.
    """

    def __init__(self, model: PeftModel, first: str = POLICY) -> None:
        self.model, self.first = model, first
        self._active: str | None = None
        self._find_layers()
        self._activate(first)

    @classmethod
    def on(cls, base: Any, config: LoraConfig, name: str = POLICY) -> "AdapterSwitch":
        """``base`` with a first adapter, which is active and changes no output yet.

        Raises:
            TypeError: the configuration is not that of a low-rank adapter.
            ValueError: the adapter could not be taken off: see :func:`lora_fault`.
        """
        require_lora(config)
        with undisturbed(base):
            before = short_logits(base)
        adapters = cls(get_peft_model(base, config, adapter_name=name), name)
        if fault := adapter_fault(adapters, name, before):
            raise ValueError(f"adapter {name}: {fault}")
        return adapters

    @classmethod
    def of(cls, model: PeftModel, name: str) -> "AdapterSwitch":
        """The adapters that a PEFT model has; ``name`` is active and trains.

        Raises:
            TypeError: one of them is no low-rank adapter.
            ValueError: ``name`` could not be taken off: see :func:`lora_fault`.
        """
        for config in model.peft_config.values():
            require_lora(config, new=False)
        adapters = cls(model, name)
        for other in model.peft_config:
            for parameter in adapters.parameters_of(other):
                parameter.requires_grad_(other == name)
        adapters.train(name)
        if fault := adapter_fault(adapters, name, None):
            raise ValueError(f"adapter {name}: {fault}")
        return adapters

    def add(self, name: str, config: LoraConfig) -> None:
        """A further adapter that trains."""
        require_lora(config)
        with self._base_unmoved(name):
            self.model.add_adapter(name, config)
        self.train(name)

    def load(self, name: str, directory: str | Path, trainable: bool = False) -> None:
        """An adapter from disk.

        Raises:
            TypeError: it is no low-rank adapter.
            ValueError: with all adapters off the model would be another one than before.
        """
        with self._base_unmoved(name):
            self.model.load_adapter(str(directory), adapter_name=name, is_trainable=trainable)
        if trainable:
            self.train(name)

    @contextmanager
    def _base_unmoved(self, name: str) -> Iterator[None]:
        with undisturbed(self.model), self.active(None):
            before = short_logits(self.model)
        yield
        self._find_layers()
        self._activate(self._active)
        require_lora(self.model.peft_config[name], new=False)
        with undisturbed(self.model), self.active(None):
            after = short_logits(self.model)
        if not same_logits(after, before, causal_lm(self.model).dtype):
            raise ValueError(f"adapter {name}: it changes the base that the other adapters are on")

    @contextmanager
    def active(self, name: str | None) -> Iterator[Any]:
        """Inside, the model answers with adapter ``name``, or as the base where it is None."""
        before = self._active
        self._activate(name)
        try:
            yield self.model
        finally:
            self._activate(before)

    def parameters_of(self, name: str) -> list[nn.Parameter]:
        """The weights of one adapter, each once."""
        return adapter_parameters(self.model, name)

    def train(self, name: str) -> None:
        """Make one adapter's weights trainable, also those that PEFT has frozen."""
        for parameter in self.parameters_of(name):
            parameter.requires_grad_(True)
        for layer in self._layers:
            layer._freeze_non_trainable_peft_weights(name)  # some initialisations fix some weights
        self._activate(self._active)

    def checkpoint_activations(self) -> None:
        """Compute a layer's activations again in the backward, under the adapter that was active in
        the forward: another adapter may be active when the backward runs."""
        causal_lm(self.model)._set_gradient_checkpointing(
            enable=True, gradient_checkpointing_func=self._computed_again
        )

    def _computed_again(self, forward: Any, *inputs: Any, **options: Any) -> Any:
        active = self._active

        def again(*given: Any) -> Any:
            with self.active(active):
                return forward(*given, **options)

        return checkpoint(again, *inputs, use_reentrant=False)

    def _find_layers(self) -> None:
        self._layers = [m for m in self.model.modules() if isinstance(m, BaseTunerLayer)]

    def _activate(self, name: str | None) -> None:
        for layer in self._layers:
            layer._disable_adapters = name is None
            if name is not None:
                layer._active_adapter = [name]
        self._active = name


def adapter_parameters(model: nn.Module, name: str | None = None) -> list[nn.Parameter]:
    """The weights of adapter ``name`` (None: of the active ones), each once, read from the adapted
    layers: names alone miss the matrices of embeddings and what some LoRA variants add."""
    found: dict[int, nn.Parameter] = {}
    for layer in model.modules():
        if not isinstance(layer, (BaseTunerLayer, AuxiliaryTrainingWrapper)):
            continue
        names = layer.active_adapters if name is None else [name]
        for held in (getattr(layer, attribute, None) for attribute in layer.adapter_layer_names):
            if not isinstance(held, (nn.ModuleDict, nn.ParameterDict)):
                continue
            for value in (held[key] for key in names if key in held):
                parts = [value] if isinstance(value, nn.Parameter) else value.parameters()
                found.update((id(part), part) for part in parts)
    return list(found.values())


class AdapterBackbone(nn.Module):
    """The base under one adapter, called as a plain backbone; a scalar head reads its output.

    The module owns no weights. They belong to the PEFT model, so nothing is saved or trained twice.
    """

    def __init__(self, adapters: AdapterSwitch, name: str) -> None:
        super().__init__()
        self._adapters, self.name = (adapters,), name  # in a tuple, so that it is no submodule
        self.config = causal_lm(adapters.model).config

    @property
    def adapters(self) -> AdapterSwitch:
        return self._adapters[0]

    @property
    def dtype(self) -> Any:
        return self.adapters.model.dtype

    @property
    def device(self) -> Any:
        return self.adapters.model.device

    def forward(self, **inputs: Any) -> Any:
        with self.adapters.active(self.name) as model:
            return causal_lm(model).base_model(**inputs)

    def add_model_tags(self, tags: Any) -> None:
        """No-op: tags are for uploads, and nothing is uploaded."""

    def save_pretrained(self, directory: str | Path) -> None:
        """Save the adapter alone, as PEFT does: in a folder with the adapter's name."""
        self.adapters.model.save_pretrained(str(directory), selected_adapters=[self.name])

    def gradient_checkpointing_enable(self, **_: Any) -> None:
        self.adapters.checkpoint_activations()

    def gradient_checkpointing_disable(self) -> None:
        causal_lm(self.adapters.model)._set_gradient_checkpointing(enable=False)


def lora_config(fields: dict[str, Any] | None) -> LoraConfig | None:
    """The recipe's ``model.lora`` as PEFT takes it; None where every weight trains.

    Raises:
        RecipeError: PEFT has no such field, or refuses the value.
    """
    if fields is None:
        return None
    try:
        config = LoraConfig(**{"task_type": "CAUSAL_LM", **fields})
    except (TypeError, ValueError) as error:
        raise RecipeError(f"model.lora: {first_line(error)}") from error
    if fault := lora_fault(config):
        raise RecipeError(f"model.lora.{fault}")
    return config


def lora_fault(config: Any) -> str | None:
    """Why adapters under this configuration could not be taken off, None if they could.

    With the adapters off, the base must be the model that was loaded, which is the reference; with
    a new adapter on, too. With the adapters off this must hold after training as well. It is tested
    on a small stand-in model, in a fraction of a second. Dropout is no fault: PPO and DPO switch it
    off.
    """
    return kind_fault(config) or configuration_fault(config, AdapterSwitch)


def require_lora(config: Any, new: bool = True) -> None:
    """Raises TypeError for another kind of adapter, ValueError for a :func:`lora_fault`; if
    ``new`` is False the adapter exists already and may have been trained."""
    if fault := kind_fault(config):
        raise TypeError(fault)
    if fault := configuration_fault(config, AdapterSwitch, new):
        raise ValueError(fault)


def new_reward_adapter(base: Any, config: LoraConfig, pooling: Pooling = "last") -> ScalarHeadModel:
    """A reward model that trains as an adapter on ``base``; a Trainer finds its weights in it."""
    adapters = AdapterSwitch.on(base, config, REWARD)
    model = ScalarHeadModel(AdapterBackbone(adapters, REWARD), pooling=pooling)
    model.add_module("base", adapters.model)
    return model


def load_reward_adapter(adapters: AdapterSwitch, directory: Path) -> ScalarHeadModel:
    """The reward model of a directory as one more adapter on the base of ``adapters``."""
    adapters.load(REWARD, directory / REWARD)
    model = ScalarHeadModel(AdapterBackbone(adapters, REWARD), init_std=0.0)
    model.load_head(directory)
    return model


def load_reward_model(directory: Path, base: Path) -> ScalarHeadModel:
    """A saved reward model, whole or an adapter on the model in ``base``."""
    if not (directory / REWARD).is_dir():
        return ScalarHeadModel.from_pretrained(directory)
    model = PeftModel.from_pretrained(
        load_policy(base), str(directory / REWARD), adapter_name=REWARD
    )
    scalar = ScalarHeadModel(AdapterBackbone(AdapterSwitch(model, REWARD), REWARD), init_std=0.0)
    scalar.add_module("base", model)
    scalar.load_head(directory)
    return scalar
