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
from rlhf_compare.runs.meter import DeviceMeter
from rlhf_compare.runs.tracking import EvaluateEvenly, MetricsLog, ProgressBar, WandbCallback

Probe = Callable[[Any], dict[str, float]]  # a policy in, numbers out; see StageTrainer


@dataclass(frozen=True, kw_only=True)
class StageContext:
    """One stage of one run.

    name        sft, reward, ppo, dpo, or a variant's
    seed        of this stage
    directory   where it writes
    data        what it reads, encoded
    cache       what runs of all recipes share, named by content
    recipe      the resolved recipe, for the tracker
    checkpoints where the stage goes on from after an interruption; None = it starts again
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

    @property
    def run_name(self) -> str:
        return f"{self.name}-{self.seed}"

    def callbacks(self, metric: str, evaluations: int = 0) -> list[TrainerCallback]:
        """The log, the bar (showing ``metric``), the tracker, and who calls the evaluations."""
        return [
            *([EvaluateEvenly(evaluations)] if evaluations else []),
            MetricsLog(self.directory.path / "metrics.jsonl"),
            ProgressBar(self.run_name, metric),
            WandbCallback(
                self.tracking,
                directory=self.directory.path,
                name=self.run_name,
                group=str(self.recipe["name"]),
                recipe=self.recipe,
            ),
        ]
