"""Measures a trainer from outside: time by phase, positions through every model, optimizer steps.
The same code measures our trainer and TRL's."""

import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from accelerate import Accelerator
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from transformers import TrainerCallback

from rlhf_compare.runs.meter import DeviceMeter

_MARK = "mark"  # a phase of no length: makes the clock write down where it stands


class NamedPhases(DeviceMeter):
    """The package's meter, which also names the phase it is in. It measures both systems."""

    def __init__(self) -> None:
        super().__init__()
        self._names = ["none"]

    @property
    def current(self) -> str:
        return self._names[-1]

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        self._names.append(name)
        try:
            with super().phase(name):
                yield
        finally:
            self._names.pop()

    def timed(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """``function``, charged to ``name``."""

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self.phase(name):
                return function(*args, **kwargs)

        return wrapped


class Probe(TrainerCallback):
    """Counts by iteration. Give it to the trainer as a callback.

    Args:
        clock: its phases are cut once more, into ``backward`` and ``optimizer``.
        tokens: how many response tokens were sampled so far, EOS included.
    """

    def __init__(self, clock: NamedPhases, tokens: Callable[[], int]) -> None:
        self._clock, self._tokens = clock, tokens
        self._forwards: dict[str, Counter[str]] = defaultdict(Counter)
        self._steps = 0
        self._snapshots: list[dict[str, Any]] = []
        self._step_phase: AbstractContextManager[None] | None = None

    def watch_model(self, role: str, trunk: Any, head: Any = None) -> None:
        """Count the positions that go through ``trunk`` and, of a policy, through ``head``."""

        def on_trunk(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            ids = args[0] if args else kwargs["input_ids"]
            mask = kwargs.get("attention_mask")
            context = ids.shape[1] if mask is None else mask.shape[-1]
            self._count(role, tokens=ids.numel(), pairs=ids.numel() * context)

        def on_head(_: Any, args: tuple[Any, ...]) -> None:
            self._count(role, logits=args[0].numel() // args[0].shape[-1])

        trunk.register_forward_pre_hook(on_trunk, with_kwargs=True)
        if head is not None:
            head.register_forward_pre_hook(on_head)

    def _count(self, role: str, **counts: int) -> None:
        grad = "grad" if torch.is_grad_enabled() else "no_grad"
        self._forwards[f"{self._clock.current}/{role}/{grad}"].update(counts)

    def watch_optimizer(self) -> None:
        """Count steps and time backwards and steps, of every optimizer of this process."""
        clock, backward = self._clock, Accelerator.backward

        def timed_backward(accelerator: Any, *args: Any, **kwargs: Any) -> None:
            with clock.phase("backward"):
                backward(accelerator, *args, **kwargs)

        def before(optimizer: Any, *_: Any) -> None:
            # the Trainer's own step finds no gradient and is none
            if any(p.grad is not None for g in optimizer.param_groups for p in g["params"]):
                self._steps += 1
            self._step_phase = clock.phase("optimizer")
            self._step_phase.__enter__()

        def after(*_: Any) -> None:
            if self._step_phase is not None:
                self._step_phase.__exit__(None, None, None)
                self._step_phase = None

        Accelerator.backward = timed_backward
        register_optimizer_step_pre_hook(before)
        register_optimizer_step_post_hook(after)

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """An iteration is over, for both trainers."""
        with self._clock.phase(_MARK):
            self._snapshots.append(
                {
                    "at": time.perf_counter(),
                    "phases": dict(self._clock.phases),
                    "forwards": {key: dict(counts) for key, counts in self._forwards.items()},
                    "optimizer_steps": self._steps,
                    "tokens": self._tokens(),
                }
            )

    def result(self, warmup: int) -> dict[str, Any]:
        """Means over the iterations after the first ``warmup``, and the seconds of each.

        Raises:
            ValueError: there was none.
        """
        return summarise(self._snapshots, warmup)


def summarise(snapshots: list[dict[str, Any]], warmup: int) -> dict[str, Any]:
    """Snapshots taken at the end of every iteration, to means of an iteration.

    Raises:
        ValueError: ``warmup`` is below 1, or no iteration came after it.
    """
    if warmup < 1 or len(snapshots) <= warmup:
        raise ValueError(f"{len(snapshots)} iterations and a warm-up of {warmup} measure nothing")
    first, last = snapshots[warmup - 1], snapshots[-1]
    n = len(snapshots) - warmup
    moments = [snapshot["at"] for snapshot in snapshots[warmup - 1 :]]
    return {
        "iteration_seconds": [b - a for a, b in itertools.pairwise(moments)],
        "phases": _per_iteration(first["phases"], last["phases"], n, leave=_MARK),
        "forwards": {
            key: counts
            for key, now in last["forwards"].items()
            if any((counts := _per_iteration(first["forwards"].get(key, {}), now, n)).values())
        },
        "optimizer_steps": (last["optimizer_steps"] - first["optimizer_steps"]) / n,
        "tokens": (last["tokens"] - first["tokens"]) / n,
    }


def _per_iteration(
    before: dict[str, Any], now: dict[str, Any], n: int, leave: str | None = None
) -> dict[str, float]:
    return {k: (v - before.get(k, 0)) / n for k, v in now.items() if k != leave}
