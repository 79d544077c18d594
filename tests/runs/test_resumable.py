"""A stage that was interrupted goes on and ends as the stage that was not, to the bit."""

import hashlib
import json
import os
import shutil
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
    {"sft": lambda _: pipeline.sft()}.get(stage, getattr(pipeline, stage))(
        *([] if stage == "sft" else [0])
    ) if stage != "sft" else pipeline.sft()
    return lines


def directory(root: Path, stage: str) -> Path:
    return root / "micro" / (stage if stage == "sft" else f"{stage}-0")


def weights(path: Path) -> str:
    files = sorted((path / "model").rglob("*.safetensors"))
    assert files
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def rows(path: Path) -> list[dict[str, Any]]:
    """Without what a clock says."""
    timing = ("runtime", "per_second")
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


@pytest.fixture(scope="module")
def straight(recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All four stages, never interrupted."""
    root = tmp_path_factory.mktemp("straight")
    for stage in STAGES:
        train(recipe_file, root, stage)
    return root


@pytest.fixture
def root(straight: Path, tmp_path: Path) -> Path:
    shutil.copytree(straight, tmp_path / "runs")
    return tmp_path / "runs"


def assert_same_run(straight: Path, root: Path, stage: str) -> None:
    one, other = directory(straight, stage), directory(root, stage)
    assert rows(other) == rows(one)
    assert weights(other) == weights(one)
    costs = [json.loads((path / "cost.json").read_text()) for path in (one, other)]
    assert costs[0]["tokens"] == costs[1]["tokens"]
    phases = costs[1]["phases"]
    assert sum(phases.values()) == pytest.approx(costs[1]["total"], rel=0.05, abs=0.05)
    assert not (other / "resume").exists()
    for name in ("training.json", "samples.jsonl"):
        if (one / name).exists():
            assert (other / name).read_text() == (one / name).read_text()


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("step", [1, 3])
def test_a_killed_stage_goes_on_from_its_newest_checkpoint(
    recipe_file: Path,
    straight: Path,
    root: Path,
    stage: str,
    step: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.rmtree(directory(root, stage))
    with monkeypatch.context() as patch:
        after_step(patch, step, Kill())
        with pytest.raises(Killed):
            train(recipe_file, root, stage, checkpoint_seconds=0.0)
    done = max(int(p.name[5:]) for p in (directory(root, stage) / "resume").glob("step-*"))
    lines = train(recipe_file, root, stage)
    assert any(f"goes on from step {done} of " in line for line in lines), lines
    assert_same_run(straight, root, stage)
