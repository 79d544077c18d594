"""Saves and loads a PPO run: weights as safetensors, the rest as JSON."""

from pathlib import Path
from typing import Any

from peft import PeftModel
from safetensors.torch import load_file, load_model, save_file, save_model
from torch import Tensor

from rlhf_compare.errors import StageFailedError
from rlhf_compare.models.merging import write_adapter
from rlhf_compare.ppo.models import PolicyAndValue
from rlhf_compare.runs.files import read_json, write_json

_STATE, _BESIDE, _REFERENCE = "ppo_state.json", "critic.safetensors", "reference.safetensors"


def save(directory: Path, model: PolicyAndValue, reference: Any, state: dict[str, Any]) -> None:
    """Save the policy as ``from_pretrained`` loads it (adapters as ``AutoPeftModelForCausalLM``
    does), and the rest beside it.

    Args:
        reference: the reference model if it moves; None = it is that of the run's start.
        state: everything of the algorithm that is no weight, as JSON.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if model.adapters is not None:
        write_adapter(model.adapters.model, model.adapters.first, directory)
    else:
        model.policy.save_pretrained(directory)
    save_file(_beside(model), directory / _BESIDE)
    if reference is not None:
        save_model(reference, str(directory / _REFERENCE))
    write_json(directory / _STATE, state)


def load(directory: Path, model: PolicyAndValue, reference: Any) -> dict[str, Any]:
    """Put the weights back where :func:`save` took them; returns the state.

    Raises:
        StageFailedError: the directory is not a checkpoint of such a trainer.
    """
    if not (directory / _STATE).is_file():
        raise StageFailedError(f"{directory}: no PPO checkpoint there ({_STATE} is missing)")
    if not isinstance(model.policy, PeftModel):
        load_model(model.policy, str(directory / "model.safetensors"), strict=False)
    weights = load_file(directory / _BESIDE)
    if set(weights) != set(_beside(model)):
        odd = sorted(set(weights) ^ set(_beside(model)))
        raise StageFailedError(f"{directory}: made by a trainer with other weights: {odd[:3]}")
    model.load_state_dict(weights, strict=False)
    if reference is not None:
        load_model(reference, str(directory / _REFERENCE))
    return dict(read_json(directory / _STATE))


def _beside(model: PolicyAndValue) -> dict[str, Tensor]:
    """The weights that the policy's own files do not hold: the critic's, and with adapters
    everything that trains (a whole policy's are in its ``model.safetensors``)."""
    training = {name for name, p in model.named_parameters() if p.requires_grad}
    adapters = isinstance(model.policy, PeftModel)
    return {
        name: value.contiguous()
        for name, value in model.state_dict().items()
        if not name.startswith("policy.") or (adapters and name in training)
    }
