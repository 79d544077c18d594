"""What a training stage is handed: where to read, where to write, what to meter and log with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from rlhf_compare.data.store import DataDirectory
from rlhf_compare.runs.checkpoints import Checkpoints
from rlhf_compare.runs.config import TrackingConfig
from rlhf_compare.runs.directory import RunDirectory
from rlhf_compare.runs.learned import Learned
from rlhf_compare.runs.meter import DeviceMeter
from rlhf_compare.runs.progress import ProgressBar
from rlhf_compare.runs.stage_run import StageRun
from rlhf_compare.runs.tracking import MetricsLog, ProbeSchedule
from rlhf_compare.runs.wandb_run import WandbCallback

Probe = Callable[[Any], dict[str, float]]  # a policy in, numbers out; see StageTrainer


@dataclass(frozen=True, kw_only=True)
class StageContext:
    """One stage of one run; as a context it ends the tracker's run when the stage is over.

    name        sft, reward, ppo, dpo, or a variant's
    seed        of this stage
    directory   where it writes
    data        what it reads, encoded
    cache       what runs of all recipes share, named by content
    recipe      the resolved recipe, for the tracker
    checkpoints where the stage goes on from after an interruption; None = it starts again
    say         prints a line for the user
    """

    name: str
    seed: int
    directory: RunDirectory
    data: DataDirectory
    cache: Path
    tracking: TrackingConfig
    recipe: dict[str, Any]
    meter: DeviceMeter = field(default_factory=DeviceMeter)
    checkpoints: Checkpoints | None = None
    say: Callable[[str], None] = print
    _trackers: list[WandbCallback] = field(default_factory=list)

    def __enter__(self) -> "StageContext":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """After the model is saved: a tracker that is gone may cost seconds, and no model."""
        while self._trackers:
            self._trackers.pop().close(exit_code=0 if kind is None else 1)

    @property
    def run_name(self) -> str:
        return f"{self.name}-{self.seed}"

    def learned(self, unit: str, at_hand: int, passes: float | None, made: int = 0) -> None:
        """Write down what training went through, for the ledger; see :class:`Learned`."""
        Learned.of(unit, at_hand, passes, made).write(self.directory)

    def callbacks(self, metric: str, evaluations: int = 0) -> list[TrainerCallback]:
        """The log, the bar (showing ``metric``), the tracker, and who calls the evaluations."""
        run = StageRun(
            recipe=self.recipe, stage=self.name, seed=self.seed, directory=self.directory.path
        )
        tracker = WandbCallback(self.tracking, run, self.say)
        self._trackers.append(tracker)
        return [
            *([ProbeSchedule(evaluations)] if evaluations else []),
            MetricsLog(self.directory.path / "metrics.jsonl"),
            tracker,  # before the bar, so that its link does not cut the bar in two
            ProgressBar(self.directory.path.name, metric),
        ]
