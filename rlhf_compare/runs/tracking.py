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


class EvaluateEvenly(TrainerCallback):
    """Evaluates ``times`` times, evenly, the last time at the end (or as often as there are steps).

    The Trainer's own ratio rounds its interval up: ten wanted over 12 steps would be six, and a
    ratio of 1 would be read as every step.
    """

    def __init__(self, times: int) -> None:
        self._times = times

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        due = [round(i * state.max_steps / self._times) for i in range(1, self._times + 1)]
        if state.global_step in due:
            control.should_evaluate = True
