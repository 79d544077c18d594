"""Saves the whole state of a training run in a checkpoint, and restores it: a run that is resumed
ends with the same weights as a run that was never stopped.

The Trainer saves optimizer, schedule, random numbers and its own state. This module saves what the
Trainer does not: sums since the last log row, counters, the random state at the start of the epoch,
the memory of callbacks, the meter's counts, and the lengths of the logs.
"""

import os
import random
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from rlhf_compare.errors import StageFailedError
from rlhf_compare.runs.files import read_json, write_json

_WEIGHTS, _MEMORY, _STATE, _BEST = "weights.safetensors", "memory.safetensors", "stage.json", "best"
_TRAINER_STATE = "trainer_state.json"


@runtime_checkable
class Remembers(Protocol):
    """A callback whose memory belongs into a checkpoint."""

    def memory(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What is JSON, and what is tensors."""

    def remember(self, values: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Take back what :meth:`memory` gave."""


def is_ours(directory: Path) -> bool:
    """Whether a checkpoint was written here and not by the Trainer."""
    return (directory / _STATE).is_file() and (directory / _WEIGHTS).is_file()


# --- weights


def save_weights(model: torch.nn.Module, directory: Path) -> None:
    """Weights that train and buffers; what is frozen comes from where the stage started."""
    save_file(
        {name: value.detach().contiguous() for name, value in _weights(model).items()},
        directory / _WEIGHTS,
    )


@torch.no_grad()
def load_weights(model: torch.nn.Module, directory: Path) -> None:
    """Put back what :func:`save_weights` took.

    Raises:
        StageFailedError: the model has other weights.
    """
    stored, ours = load_file(directory / _WEIGHTS), _weights(model)
    if stored.keys() != ours.keys():
        odd = sorted(stored.keys() ^ ours.keys())[:3]
        raise StageFailedError(f"{directory}: made by a model with other weights: {odd}")
    for name, value in ours.items():
        value.copy_(stored[name])


def _weights(model: torch.nn.Module) -> dict[str, Tensor]:
    """By name, tied weights once."""
    buffers = {name for name, _ in model.named_buffers()} & set(model.state_dict())
    return {
        **{name: p for name, p in model.named_parameters() if p.requires_grad},
        **{name: b for name, b in model.named_buffers() if name in buffers},
    }


# --- random numbers


def random_state() -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Of Python, numpy, torch and the GPU, as JSON and tensors."""
    kind, words, *rest = np.random.get_state()
    numbers = np.asarray(words).tolist()
    values = {"python": random.getstate(), "numpy": [kind, numbers, *rest]}
    tensors = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["cuda"] = torch.cuda.get_rng_state()
    return values, tensors


def set_random_state(values: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    version, words, gauss = values["python"]
    random.setstate((version, tuple(words), gauss))
    kind, numbers, *rest = values["numpy"]
    np.random.set_state((kind, np.array(numbers, dtype=np.uint32), *rest))
    torch.set_rng_state(tensors["cpu"])
    if "cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["cuda"])


# --- logs that grow line by line


def log_lengths(stage: Path) -> dict[str, int]:
    """Bytes of every log in a run directory, which are on the disk afterwards."""
    lengths = {}
    for path in stage.glob("*.jsonl"):
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
            lengths[path.name] = os.fstat(stream.fileno()).st_size
    return lengths


def cut_logs(stage: Path, lengths: dict[str, int]) -> None:
    """Take off the rows that were written after a checkpoint: they will be written again."""
    for path in stage.glob("*.jsonl"):
        if path.stat().st_size > lengths.get(path.name, 0):
            os.truncate(path, lengths.get(path.name, 0))


# --- the whole


def plain(value: Any) -> Any:
    """Numbers out of tensors and numpy, for JSON."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.item() if hasattr(value, "item") else value


def save(trainer: Any, directory: Path, epoch_start: Any, flags: dict[str, bool]) -> None:
    """Fill ``directory`` with everything that ``trainer`` is after a step.

    Args:
        epoch_start: :func:`random_state` before the epoch's order was drawn.
        flags: where in the run that is.
    """
    trainer.store_flos()
    save_weights(trainer.accelerator.unwrap_model(trainer.model), directory)
    trainer._save_optimizer_and_scheduler(str(directory))
    trainer._save_scaler(str(directory))
    trainer._save_rng_state(str(directory))
    trainer.state.save_to_json(str(directory / _TRAINER_STATE))
    values, tensors = trainer.memory()
    memory = {f"trainer.{name}": value for name, value in tensors.items()}
    callbacks: dict[str, Any] = {}
    for callback in _rememberers(trainer):
        name = type(callback).__name__
        callbacks[name], tensors = callback.memory()
        memory |= {f"{name}.{key}": value for key, value in tensors.items()}
    random_values, random_tensors = epoch_start
    memory |= {f"random.{key}": value for key, value in random_tensors.items()}
    save_file({name: value.contiguous() for name, value in memory.items()}, directory / _MEMORY)
    best = trainer.state.best_model_checkpoint
    if best is not None and Path(best).is_dir():
        _link(Path(best), directory / _BEST)
    write_json(
        directory / _STATE,
        {
            "trainer": plain(values),
            "callbacks": plain(callbacks),
            "random": random_values,
            "best": None if best is None else Path(best).name,
            "meter": trainer.meter.state(),
            "logs": log_lengths(trainer.checkpoints.stage),
            **flags,
        },
    )


class Memory:
    """A checkpoint, read back part by part as the Trainer comes to each."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.values = read_json(directory / _STATE)
        self._tensors = load_file(directory / _MEMORY)

    @property
    def max_steps(self) -> int:
        return int(read_json(self.directory / _TRAINER_STATE)["max_steps"])

    def epoch_start(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        return self.values["random"], self._of("random")

    def restore(self, trainer: Any) -> None:
        """Everything but weights, optimizer, schedule and random numbers, which the Trainer loads
        itself; after it has reset its sums."""
        trainer.remember(self.values["trainer"], self._of("trainer"))
        for callback in _rememberers(trainer):
            name = type(callback).__name__
            if name in self.values["callbacks"]:
                callback.remember(self.values["callbacks"][name], self._of(name))
        if self.values["best"] is not None:
            best = Path(trainer.args.output_dir) / self.values["best"]
            if not best.is_dir():
                shutil.copytree(self.directory / _BEST, best)
            trainer.state.best_model_checkpoint = str(best)

    def _of(self, owner: str) -> dict[str, Tensor]:
        prefix = f"{owner}."
        return {k[len(prefix) :]: v for k, v in self._tensors.items() if k.startswith(prefix)}


def _rememberers(trainer: Any) -> list[Remembers]:
    return [c for c in trainer.callback_handler.callbacks if isinstance(c, Remembers)]


def _link(source: Path, target: Path) -> None:
    """The same files under a second name, which cost no room; copies where that cannot be."""

    def link(old: str, new: str) -> None:
        with suppress(OSError):
            os.link(old, new)
            return
        shutil.copy2(old, new)

    shutil.copytree(source, target, copy_function=link)
