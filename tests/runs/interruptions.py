"""Stages that are killed or told to stop after a step."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from rlhf_compare.pipeline import Pipeline
from rlhf_compare.recipe import load_recipe
from rlhf_compare.runs.resumable import ResumableTrainer

STAGES = ["sft", "reward", "ppo", "dpo"]


class Killed(BaseException):
    """As SIGKILL would: nothing of ours runs on."""


def train(recipe_file: Path, root: Path, stage: str, *overrides: str, **options: Any) -> list[str]:
    """Run one stage and those before it; returns what was said."""
    lines: list[str] = []
    recipe = load_recipe(recipe_file, overrides)
    pipeline = Pipeline(recipe, root, say=lines.append, **options)
    if stage == "sft":
        pipeline.sft()
    elif stage == "reward":
        pipeline.reward(0)
    else:
        pipeline.method(stage, 0)
    return lines


def directory(root: Path, stage: str) -> Path:
    return root / "micro" / (stage if stage == "sft" else f"{stage}-0")


def weights(path: Path) -> str:
    files = sorted((path / "model").rglob("*.safetensors"))
    assert files
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def rows(path: Path) -> list[dict[str, Any]]:
    """Without what a clock says."""
    timing = ("runtime", "per_second", "_seconds")
    text = (path / "metrics.jsonl").read_text()
    return [
        {k: v for k, v in json.loads(line).items() if not k.endswith(timing)}
        for line in text.splitlines()
    ]


def after_step(monkeypatch: pytest.MonkeyPatch, step: int, act: Any) -> None:
    """Call ``act`` once, when that step has been logged and its checkpoint, if any, is there."""
    original = ResumableTrainer._maybe_log_save_evaluate
    due = [True]

    def stepped(self: Any, *args: Any, **kwargs: Any) -> None:
        if due[0] and self.state.global_step == step and act is not None and act.before:
            due[0] = False
            act()
        original(self, *args, **kwargs)
        if due[0] and self.state.global_step == step and not act.before:
            due[0] = False
            act()

    monkeypatch.setattr(ResumableTrainer, "_maybe_log_save_evaluate", stepped)


class Kill:
    before = False

    def __call__(self) -> None:
        raise Killed


class Signal:
    before = True

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self) -> None:
        os.kill(os.getpid(), self.number)


def assert_same_run(straight: Path, root: Path, stage: str) -> None:
    one, other = directory(straight, stage), directory(root, stage)
    assert rows(other) == rows(one)
    assert weights(other) == weights(one)
    costs = [json.loads((path / "cost.json").read_text()) for path in (one, other)]
    assert costs[0]["tokens"] == costs[1]["tokens"]
    assert costs[0]["samples"] == costs[1]["samples"]
    log = [json.loads(line) for line in (other / "metrics.jsonl").read_text().splitlines()]
    held = [row["eval_seconds"] for row in log if "eval_seconds" in row]
    assert held == sorted(held)  # seconds of both processes add up
    assert bool(held) is (stage in ("ppo", "dpo"))
    charged = costs[1]["total"] - costs[1]["phases"].get("evaluate", 0.0)
    assert all(0.0 < seconds <= charged for seconds in held)
    phases = costs[1]["phases"]
    assert sum(phases.values()) == pytest.approx(costs[1]["total"], rel=0.05, abs=0.05)
    assert not (other / "resume").exists()
    for name in ("training.json", "samples.jsonl"):
        if (one / name).exists():
            assert (other / name).read_text() == (one / name).read_text()
