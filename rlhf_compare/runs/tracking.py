"""Metrics out of a trainer: ``metrics.jsonl`` is the truth, the bar shows it, W&B is a sink."""

import json
import logging
import math
import os
from pathlib import Path
from typing import IO, Any

from tqdm.auto import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from rlhf_compare.runs.config import TrackingConfig

logger = logging.getLogger(__name__)

_INIT_SECONDS = 20  # how long a refused or unreachable W&B may hold a run up
_FINISH_SECONDS = 20.0


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


class ProgressBar(TrainerCallback):
    """One bar a stage with its latest number; rows of numbers belong in the log, not on screen."""

    def __init__(self, stage: str, metric: str) -> None:
        self._stage, self._metric = stage, metric
        self._bar: Any = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if state.is_world_process_zero:
            self._bar = tqdm(
                total=state.max_steps, initial=state.global_step, desc=self._stage, unit="step"
            )

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


class WandbCallback(TrainerCallback):
    """Mirrors the log to Weights & Biases; never prompts, never fails a run.

    transformers' own callback is not used: it defines metrics by glob, and overlapping globs
    resolve at random.
    """

    def __init__(
        self, config: TrackingConfig, directory: Path, name: str, group: str, recipe: dict[str, Any]
    ) -> None:
        self._config, self._directory = config, directory
        self._name, self._group, self._recipe = name, group, recipe
        self._run: Any = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        mode = wandb_mode(self._config)
        if mode == "disabled" or not state.is_world_process_zero:
            return
        try:
            self._run = self._start(mode)
        except Exception as error:  # whatever W&B raises, the run goes on without it
            if mode == "online":
                logger.warning("W&B refused (%s); logging offline", _first_line(error))
                self._run = self._start_quietly()
            else:
                logger.warning("W&B is off: %s", _first_line(error))

    def _start(self, mode: str) -> Any:
        import wandb  # here, so that a run without it never loads it

        self._directory.mkdir(parents=True, exist_ok=True)
        run = wandb.init(
            project=self._config.project,
            entity=self._config.entity,
            name=self._name,
            group=self._group,
            job_type=self._name.split("-")[0],
            dir=str(self._directory),
            mode=mode,  # type: ignore[arg-type]
            config=self._recipe,
            reinit="create_new",
            settings=wandb.Settings(
                init_timeout=_INIT_SECONDS, silent=True, console="off", disable_git=True
            ),
        )
        run.define_metric("trainer/global_step")
        return run

    def _start_quietly(self) -> Any:
        try:
            return self._start("offline")
        except Exception as error:
            logger.warning("W&B is off: %s", _first_line(error))
            return None

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if self._run is None or not logs:
            return
        try:
            numbers = {k: v for k, v in logs.items() if isinstance(v, int | float)}
            self._run.log({"trainer/global_step": state.global_step, **numbers})
        except Exception as error:
            logger.warning("W&B stopped taking metrics: %s", _first_line(error))
            self._run = None

    def on_train_end(self, *_: Any, **__: Any) -> None:
        if self._run is None:
            return
        try:
            self._run.finish()
        except Exception as error:
            logger.warning("W&B did not finish: %s", _first_line(error))
        self._run = None


def wandb_mode(config: TrackingConfig) -> str:
    """The mode W&B will run in: WANDB_MODE wins, then the recipe; auto is online with a key."""
    mode = os.environ.get("WANDB_MODE") or config.wandb
    if mode in ("dryrun", "shared", "must"):
        return "offline" if mode == "dryrun" else "online"
    if mode != "auto":
        return mode
    return "online" if has_wandb_account() else "offline"


def describe_tracking(config: TrackingConfig) -> str:
    """One line on where metrics go."""
    mode = wandb_mode(config)
    if mode == "online":
        return f"W&B: online, project {config.project}"
    if mode == "disabled":
        return "W&B: off; metrics are in each stage's metrics.jsonl"
    why = "" if has_wandb_account() else "no account found, "
    return f"W&B: {why}logging offline; `wandb sync` uploads the wandb/ folders of the run"


def has_wandb_account() -> bool:
    """Whether a key is in the environment or in netrc; W&B is not asked, it might prompt."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").split("://")[-1].strip("/")
    try:
        import netrc

        return netrc.netrc().authenticators(host) is not None
    except (OSError, ImportError, SyntaxError):
        return False


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0][:200] or type(error).__name__
