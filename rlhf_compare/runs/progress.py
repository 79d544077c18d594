"""One bar a stage."""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from rlhf_compare.bars import Bar, bar


class ProgressBar(TrainerCallback):
    """One bar a stage with its latest number; rows of numbers belong in the log, not on screen."""

    def __init__(self, stage: str, metric: str) -> None:
        self._stage, self._metric = stage, metric
        self._bar: Bar | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if state.is_world_process_zero:
            self._bar = bar(self._stage, state.max_steps, "step", initial=state.global_step)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if self._bar is not None:
            self._bar.update(state.global_step - self._bar.n)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if self._bar is not None and logs and self._metric in logs:
            self._bar.set_postfix({self._metric.split("/")[-1]: f"{float(logs[self._metric]):.3f}"})

    def on_train_end(self, *_: Any, **__: Any) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
