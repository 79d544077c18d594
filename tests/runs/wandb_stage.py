"""A stage that logs to W&B, and what W&B wrote."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from transformers import TrainerControl, TrainerState, TrainingArguments

from rlhf_compare.runs.config import TrackingConfig
from rlhf_compare.runs.stage_run import StageRun
from rlhf_compare.runs.wandb_run import WandbCallback

KEY = "k" * 40


RECIPE = {
    "name": "tiny",
    "seed": 7,
    "dpo": {"beta": 0.04, "loss_type": ["sppo_hard"]},
    "variants": {"dpo_chapter": {"method": "dpo", "settings": {"beta": 0.3}}},
}


class Stage:
    """Drives one callback as a trainer does."""

    def __init__(self, root: Path, stage: str = "dpo", seed: int = 0, **config: Any) -> None:
        self.said: list[str] = []
        self.args = TrainingArguments(output_dir=str(root), report_to="none", learning_rate=0.5)
        self.state, self.control = TrainerState(is_world_process_zero=True), TrainerControl()
        run = StageRun(recipe=RECIPE, stage=stage, seed=seed, directory=root / f"{stage}-{seed}")
        self.callback: Any = WandbCallback(TrackingConfig(**config), run, self.said.append)
        self.callback.on_train_begin(self.args, self.state, self.control)

    def step(self, *rows: dict[str, float]) -> None:
        self.callback.on_step_begin(self.args, self.state, self.control)
        self.state.global_step += 1
        for row in rows:
            self.callback.on_log(self.args, self.state, self.control, logs=row)

    def end(self) -> None:
        self.callback.on_train_end(self.args, self.state, self.control)
        self.callback.close()


def records(folder: Path) -> list[dict[str, Any]]:
    """A run as W&B's own reader sees it."""
    done = subprocess.run(
        [Path(sys.executable).parent / "wandb", "leet", "inspect", "--json", folder],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]


def of_type(rows: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [row[kind] for row in rows if row["type"] == kind]


def runs_in(root: Path) -> list[Path]:
    return sorted((root / "wandb").glob("*run-*"))
