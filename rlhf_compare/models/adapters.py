"""One frozen base, several hats: policy, value and reward as LoRA adapters on the same weights.

With every adapter off, the base is the reference, to the bit and for free.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from rlhf_compare.errors import RecipeError
from rlhf_compare.models.heads import Pooling, ScalarHeadModel
from rlhf_compare.models.policy import causal_lm, load_policy
from rlhf_compare.models.tokenizer import first_line

POLICY, VALUE, REWARD = "policy", "value", "reward"


class Hats:
    """Adapters on one base, one of them worn at a time; the policy's when nobody says otherwise.

    PEFT's own switches also switch ``requires_grad`` and would freeze whichever adapter is off, so
    that policy and value could not train in one backward. These touch the choice alone.

    Attributes:
        model: the PEFT model; its base never trains.
    """

    def __init__(self, model: PeftModel, worn: str = POLICY) -> None:
        self.model = model
        self._layers = [m for m in model.modules() if isinstance(m, BaseTunerLayer)]
        self._worn: str | None = None
        self._put_on(worn)

    @classmethod
    def on(cls, base: Any, config: LoraConfig, name: str = POLICY) -> "Hats":
        """``base`` with a first adapter, which changes nothing yet and is worn.

        Raises:
            ValueError: the adapter would drop out, which makes the same forward differ from itself.
        """
        if fault := lora_fault(config):
            raise ValueError(fault)
        return cls(get_peft_model(base, config, adapter_name=name), name)

    def add(self, name: str, config: LoraConfig) -> None:
        """A further adapter that trains."""
        self.model.add_adapter(name, config)
        self._train(name)

    def load(self, name: str, directory: str | Path, trainable: bool = False) -> None:
        """An adapter from disk."""
        self.model.load_adapter(str(directory), adapter_name=name, is_trainable=trainable)
        self._train(name) if trainable else self._put_on(self._worn)

    @contextmanager
    def wear(self, name: str | None) -> Iterator[Any]:
        """Inside, the model answers with adapter ``name``, or as the base where it is None."""
        before = self._worn
        self._put_on(name)
        try:
            yield self.model
        finally:
            self._put_on(before)

    def parameters_of(self, name: str) -> list[nn.Parameter]:
        """The weights of one adapter."""
        return [p for n, p in self.model.named_parameters() if f".{name}." in n and "lora_" in n]

    def _train(self, name: str) -> None:
        for parameter in self.parameters_of(name):
            parameter.requires_grad_(True)
        self._put_on(self._worn)

    def _put_on(self, name: str | None) -> None:
        for layer in self._layers:
            layer._disable_adapters = name is None
            if name is not None:
                layer._active_adapter = [name]
        self._worn = name


class AdapterBackbone(nn.Module):
    """The base under one adapter, called as a plain backbone: what a scalar head sits on.

    It owns no weights: they stay with the PEFT model, so that nothing is saved or trained twice.
    """

    def __init__(self, hats: Hats, name: str) -> None:
        super().__init__()
        self._hats, self._name = (hats,), name  # in a tuple, so that it is no submodule
        self.config = causal_lm(hats.model).config

    @property
    def hats(self) -> Hats:
        return self._hats[0]

    @property
    def dtype(self) -> Any:
        return self.hats.model.dtype

    @property
    def device(self) -> Any:
        return self.hats.model.device

    def forward(self, **inputs: Any) -> Any:
        with self.hats.wear(self._name) as model:
            return causal_lm(model).base_model(**inputs)

    def add_model_tags(self, tags: Any) -> None:
        """Tags are for uploads; an adapter that is not uploaded needs none."""

    def save_pretrained(self, directory: str | Path) -> None:
        """The adapter alone, as PEFT writes it: in a folder of its name."""
        self.hats.model.save_pretrained(str(directory), selected_adapters=[self._name])

    def gradient_checkpointing_enable(self, **_: Any) -> None:
        raise ValueError(
            "gradient checkpointing runs a forward again in the backward, when another adapter is "
            "worn; set gradient_checkpointing: false"
        )

    def gradient_checkpointing_disable(self) -> None:
        """It is never on."""


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


def lora_fault(config: LoraConfig) -> str | None:
    """Why adapters under this configuration could not be taken off, None if they could.

    A dropout makes a forward differ from itself; everything else that trains beside the low-rank
    matrices stays when the adapter is off, and the reference would not be the base.
    """
    wanted = {
        "lora_dropout": 0,
        "bias": "none",
        "modules_to_save": None,
        "trainable_token_indices": None,
    }
    for name, value in wanted.items():
        given = getattr(config, name, value)
        if given != value and given:
            return f"{name}: must be {value}, got {given}: without it the base is the reference"
    return None


def new_reward_adapter(base: Any, config: LoraConfig, pooling: Pooling = "last") -> ScalarHeadModel:
    """A reward model that trains as an adapter on ``base``; a Trainer finds its weights in it."""
    hats = Hats.on(base, config, REWARD)
    model = ScalarHeadModel(AdapterBackbone(hats, REWARD), pooling=pooling)
    model.add_module("base", hats.model)
    return model


def load_reward_adapter(hats: Hats, directory: Path) -> ScalarHeadModel:
    """The reward model of a directory as one more adapter on the base of ``hats``."""
    hats.load(REWARD, directory / REWARD)
    model = ScalarHeadModel(AdapterBackbone(hats, REWARD), init_std=0.0)
    model.load_head(directory)
    return model


def load_reward_model(directory: Path, base: Path) -> ScalarHeadModel:
    """A saved reward model, whole or an adapter on the model in ``base``."""
    if not (directory / REWARD).is_dir():
        return ScalarHeadModel.from_pretrained(directory)
    model = PeftModel.from_pretrained(
        load_policy(base), str(directory / REWARD), adapter_name=REWARD
    )
    scalar = ScalarHeadModel(AdapterBackbone(Hats(model, REWARD), REWARD), init_std=0.0)
    scalar.add_module("base", model)
    scalar.load_head(directory)
    return scalar


def save_merged(model: PeftModel, directory: Path) -> None:
    """The policy as one plain model, its adapter folded in, and the adapter alone beside it."""
    adapter = next(iter(model.peft_config))
    model.save_pretrained(str(directory / "adapter"), selected_adapters=[adapter])
    model.merge_and_unload(adapter_names=[adapter]).save_pretrained(directory)
