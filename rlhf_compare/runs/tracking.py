"""Metrics out of a trainer: ``metrics.jsonl`` is the truth; when they are measured."""

import json
import math
from pathlib import Path
from typing import IO, Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class MetricsLog(TrainerCallback):
    """Appends every logged row to ``metrics.jsonl``, flushed row by row."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: IO[str] | None = None

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if not state.is_world_process_zero or not logs:
            return
        if self._stream is None:
            self._stream = self._path.open("a", encoding="utf-8")
        # JSON has no NaN; a reader must still see that there was one
        row = {
            key: str(value) if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in logs.items()
        }
        self._stream.write(json.dumps({"step": state.global_step, **row}) + "\n")
        self._stream.flush()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


class ProbeSchedule(TrainerCallback):
    """Evaluates ``times`` times, often at first and ever less often: the i-th time after
    (i / times)^2 of the steps, the last time at the end (or as often as there are steps).

    A method moves most at the start, and comparisons at equal adoption, KL or cost read between
    probes there; the same fractions for every method.
    """

    def __init__(self, times: int) -> None:
        self._times = times

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if state.global_step in probe_steps(state.max_steps, self._times):
            control.should_evaluate = True


def probe_steps(steps: int, times: int) -> list[int]:
    """Steps after which to probe, ``min(times, steps)`` different ones, the last one ``steps``."""
    count = min(times, steps)
    due = [max(i, round(steps * (i / count) ** 2)) for i in range(1, count + 1)]
    for place in range(count - 2, -1, -1):  # where squares round to one step
        due[place] = min(due[place], due[place + 1] - 1)
    return due
