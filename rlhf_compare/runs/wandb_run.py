"""One W&B run a stage: a sink that never prompts, never fails a stage and never holds one up."""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from rlhf_compare.runs.config import TrackingConfig
from rlhf_compare.runs.stage_run import StageRun
from rlhf_compare.runs.wandb_account import (
    Mode,
    command,
    destination,
    first_line,
    quiet_wandb,
    remember_refusal,
    wandb_root,
)
from rlhf_compare.runs.wandb_history import STEP, Held, held_by, logged, retire_earlier
from rlhf_compare.runs.wandb_sweep import ForeignRun, foreign_run

logger = logging.getLogger(__name__)

# together under the half minute that a stage may lose to a W&B that is gone
_INIT_SECONDS, _FINISH_SECONDS = 14.0, 10.0
_FLUSH_SECONDS = 1.0  # so much of a run is not on the disk when it is killed; W&B's own is 15


@dataclass
class _Rows:
    """Joins what is logged at one step: an evaluation is two rows more of the same step."""

    step: int = 0
    values: dict[str, Any] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)

    def new_names(self) -> list[str]:
        fresh = [name for name in self.values if name not in self.named]
        self.named.update(fresh)
        return fresh


class WandbCallback(TrainerCallback):
    """Mirrors the log to Weights & Biases.

    transformers' own callback is not used: it defines metrics by glob, and overlapping globs
    resolve at random. The run ends by :meth:`close`, after the stage has saved its model, and not
    when training ends: a server that is gone costs seconds then, and no model.
    """

    def __init__(
        self, config: TrackingConfig, stage: StageRun, say: Callable[[str], None] = print
    ) -> None:
        self._config, self._stage, self._say = config, stage, say
        self._run: Any = None
        self._rows = _Rows()
        self._held = Held()  # by the server, before this process
        self._own_steps = True  # W&B's own step is the trainer's

    # --- a Trainer's events

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if not state.is_world_process_zero or self._run is not None:
            return
        foreign = foreign_run()
        mode: str = destination(self._config).mode
        if mode == "online":
            mode = self._try_online(args, foreign)
        if mode == "offline":
            self._try_offline(args, foreign)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._flush()  # the evaluations of the last step are over

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
        if state.global_step != self._rows.step:
            self._flush()
        self._rows.step = state.global_step
        self._rows.values |= {k: v for k, v in logs.items() if isinstance(v, int | float)}

    # --- the end of the stage

    def close(self, exit_code: int = 0) -> None:
        """Send what is left and end the run, within ``_FINISH_SECONDS`` whatever the server does.

        Args:
            exit_code: 0 = the stage is done; W&B marks the run as failed otherwise.
        """
        self._flush()
        if self._run is None:
            return
        run, self._run = self._run, None
        start = time.perf_counter()
        try:
            run.finish(exit_code=exit_code)
        except Exception as error:
            why = (
                f"given up after {time.perf_counter() - start:.0f} s at the end of "
                f"{self._stage.name}: {first_line(error)}"
            )
            folder = _folder_of(run)
            remember_refusal("offline", why)
            logger.warning(
                "W&B: %s; the rows are on disk, `%s sync --include-online %s` sends them; "
                "later stages log offline",
                why,
                command("wandb"),
                folder,
            )

    # --- inside

    def _try_online(self, args: TrainingArguments, foreign: ForeignRun) -> Mode:
        start = time.perf_counter()
        try:
            self._start("online", args, foreign)
        except Exception as error:  # whatever W&B raises, the stage goes on
            seconds = time.perf_counter() - start
            why = f"no answer that helps after {seconds:.0f} s: {first_line(error)}"
            remember_refusal("offline", why)
            logger.warning("W&B: %s; this stage and all later ones log offline", why)
            _forget_service()
            return "offline"
        self._say(f"{self._stage.name}: {self._run.url}")
        return "online"

    def _try_offline(self, args: TrainingArguments, foreign: ForeignRun) -> None:
        try:
            self._start("offline", args, foreign)
        except Exception as error:
            remember_refusal("disabled", first_line(error))
            logger.warning("W&B is off: %s", first_line(error))

    def _start(self, mode: Mode, args: TrainingArguments, foreign: ForeignRun) -> None:
        wandb = quiet_wandb()
        stage = self._stage
        root = wandb_root(stage.directory.parent)
        root.mkdir(parents=True, exist_ok=True)
        mine, goes_on = _belongs_here(foreign, stage), stage.recorded
        options = {"id": stage.run_id()}
        if mine and foreign.names_a_run:
            options = dict(foreign.options)
        if mode == "online" and "id" in options and (goes_on or mine):
            # a new run does not: an upload of its folder would append to what the server has
            options = {"resume": "allow", **options}
        elif mode != "online":
            options = {key: value for key, value in options.items() if key == "id"}
        self._run = wandb.init(
            mode=mode,
            dir=str(root),
            config={**stage.config(args), **foreign.config()},
            reinit="create_new",
            settings=wandb.Settings(**_settings(foreign.sweep_id if mine else None)),
            **_where_the_environment_is_silent(self._config, stage, foreign.group),
            **options,
        )
        foreign.given = foreign.given or mine
        stage.record(self._run.id)
        # somebody else's run may be at any step
        self._own_steps = not (mine and foreign.names_a_run)
        if goes_on:
            self._catch_up(mode, root / "wandb")

    def _catch_up(self, mode: Mode, folder: Path) -> None:
        """Send what the run lacks of the steps before; see :mod:`wandb_history`."""
        rows = logged(self._stage.directory / "metrics.jsonl")
        if mode == "online":
            self._held = held_by(self._run.summary, rows)
        retire_earlier(folder, self._run.id, but=Path(self._run.dir).parent)
        for step, values in rows.items():
            self._rows.step, self._rows.values = step, values
            self._flush()

    def _flush(self) -> None:
        """One row a step. Each metric is defined by its exact name as it first comes, on the
        trainer's step; without that W&B draws it over the count of rows."""
        rows = self._rows
        rows.values = self._held.lacks(rows.step, rows.values)
        if self._run is None or not rows.values:
            return
        if rows.step == self._held.step:  # W&B takes no second row of a step
            self._own_steps = False
        try:
            for name in rows.new_names():
                self._run.define_metric(name, step_metric=STEP)
            step = rows.step if self._own_steps else None
            self._run.log({STEP: rows.step, **rows.values}, step=step)
        except Exception as error:
            logger.warning("W&B stopped taking metrics: %s", first_line(error))
            self._run = None
        rows.values = {}


def _belongs_here(foreign: ForeignRun, stage: StageRun) -> bool:
    """Whether this stage is the run that the environment named: the first one that starts, or the
    one that it was before it was interrupted."""
    if not (foreign.names_a_run or foreign.sweep_id):
        return False
    if stage.recorded:
        return foreign.id is not None and stage.run_id() == foreign.id
    return not foreign.given


def _settings(sweep_id: str | None) -> dict[str, Any]:
    ours = {
        "WANDB_INIT_TIMEOUT": ("init_timeout", _INIT_SECONDS),
        "WANDB_FINISH_TIMEOUT": ("finish_timeout", _FINISH_SECONDS),
        "WANDB_SILENT": ("silent", True),
        "WANDB_CONSOLE": ("console", "off"),
    }
    values = {key: value for name, (key, value) in ours.items() if name not in os.environ}
    sweep = {"sweep_id": sweep_id} if sweep_id else {}
    return {
        **values,
        **sweep,
        "finish_timeout_raises": True,
        "disable_git": True,
        "x_transaction_log_flush_interval": _FLUSH_SECONDS,
    }


def _where_the_environment_is_silent(
    config: TrackingConfig, stage: StageRun, foreign_group: str | None
) -> dict[str, Any]:
    """Arguments of ``wandb.init`` beat the environment: so only those that it leaves open."""
    ours: dict[str, tuple[str, Any]] = {
        "WANDB_PROJECT": ("project", config.project),
        "WANDB_ENTITY": ("entity", config.entity),
        "WANDB_NAME": ("name", stage.name),
        "WANDB_RUN_GROUP": ("group", foreign_group or stage.recipe.get("name")),
        "WANDB_JOB_TYPE": ("job_type", stage.stage),
        "WANDB_TAGS": ("tags", [stage.section, f"seed-{stage.seed}"]),
    }
    return {key: value for name, (key, value) in ours.items() if not os.environ.get(name)}


def _folder_of(run: Any) -> str:
    try:
        return os.path.relpath(Path(run.dir).parent)
    except (AttributeError, TypeError, ValueError):
        return "its folder"


def _forget_service() -> None:
    """A run that did not start keeps its id inside W&B's service; a new service knows none."""
    try:
        quiet_wandb().teardown()
    except Exception as error:
        logger.debug("W&B's service did not end: %s", error)
