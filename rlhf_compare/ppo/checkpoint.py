"""Everything that a PPO run is, on disk and back: weights as safetensors, the rest as JSON."""

from pathlib import Path
from typing import Any

from safetensors.torch import load_file, load_model, save_file, save_model

from rlhf_compare.errors import StageFailedError
from rlhf_compare.ppo.models import PolicyAndValue
from rlhf_compare.runs.directory import read_json, write_json

_STATE, _CRITIC, _REFERENCE = "ppo_state.json", "value.safetensors", "reference.safetensors"


def save(directory: Path, model: PolicyAndValue, reference: Any, state: dict[str, Any]) -> None:
    """The policy where ``from_pretrained`` finds it, the rest beside it.

    Args:
        reference: the reference model where it moves; None where it is what the run began with.
        state: JSON; what of the algorithm is no weight.
    """
    directory.mkdir(parents=True, exist_ok=True)
    model.policy.save_pretrained(directory)
    critic = {
        k: v.contiguous() for k, v in model.state_dict().items() if not k.startswith("policy.")
    }
    save_file(critic, directory / _CRITIC)
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
    load_model(model.policy, str(directory / "model.safetensors"), strict=False)
    unknown = model.load_state_dict(load_file(directory / _CRITIC), strict=False).unexpected_keys
    if unknown:
        raise StageFailedError(
            f"{directory}: the value model there has other weights: {unknown[:3]}"
        )
    if reference is not None:
        load_model(reference, str(directory / _REFERENCE))
    return dict(read_json(directory / _STATE))
