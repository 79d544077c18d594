"""A stage that was interrupted goes on and ends as the stage that was not, to the bit."""

import hashlib
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from rlhf_compare.errors import StageStoppedError, StorageError
from rlhf_compare.pipeline import Pipeline
from rlhf_compare.recipe import load_recipe
from rlhf_compare.runs import resuming
from rlhf_compare.runs.checkpoints import Checkpoints
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
@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.slow), 3])
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


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_signal_ends_the_step_and_leaves_a_checkpoint(
    recipe_file: Path,
    straight: Path,
    root: Path,
    stage: str,
    number: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.rmtree(directory(root, stage))
    label = directory(root, stage).name
    with monkeypatch.context() as patch:
        after_step(patch, 1, Signal(number))
        with pytest.raises(StageStoppedError, match=f"{label}: stopped at step 1 of ") as stopped:
            train(recipe_file, root, stage)
    assert stopped.value.exit_code == 75 and "goes on from there" in str(stopped.value)
    assert any("goes on from step 1 of" in line for line in train(recipe_file, root, stage))
    assert_same_run(straight, root, stage)


def test_a_second_signal_ends_at_once(
    recipe_file: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(directory(root, "sft"))
    twice = Signal(signal.SIGINT)
    monkeypatch.setattr(twice.__class__, "__call__", lambda _: [
        os.kill(os.getpid(), signal.SIGINT) for _ in range(2)
    ])  # fmt: skip
    after_step(monkeypatch, 1, twice)
    with pytest.raises(KeyboardInterrupt):
        train(recipe_file, root, "sft")


def test_a_signal_at_the_last_step_keeps_what_was_trained(
    recipe_file: Path, straight: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(directory(root, "reward"))
    last = rows(directory(straight, "reward"))[-1]["step"]
    with monkeypatch.context() as patch:
        after_step(patch, last, Signal(signal.SIGTERM))
        with pytest.raises(StageStoppedError, match="stopped after its last step"):
            train(recipe_file, root, "reward")
    train(recipe_file, root, "reward")
    assert_same_run(straight, root, "reward")


def interrupted(recipe_file: Path, root: Path, stage: str, patch: Any, step: int = 3) -> Path:
    """Kill a stage after a step, with a checkpoint after each; returns where these are."""
    shutil.rmtree(directory(root, stage))
    after_step(patch, step, Kill())
    with pytest.raises(Killed):
        train(recipe_file, root, stage, checkpoint_seconds=0.0)
    return directory(root, stage) / "resume"


@pytest.mark.parametrize("damage", ["cut", "flip", "delete", "manifest"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(
    recipe_file: Path, straight: Path, root: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        folder = interrupted(recipe_file, root, "sft", patch, 5)
    older, newest = sorted(folder.glob("step-*"))
    file = newest / ("manifest.json" if damage == "manifest" else "optimizer.pt")
    content = file.read_bytes()
    if damage == "delete":
        file.unlink()
    elif damage == "flip":
        file.write_bytes(content[:99] + bytes([content[99] ^ 1]) + content[100:])
    else:
        file.write_bytes(content[: len(content) // 2])
    lines = train(recipe_file, root, "sft")
    assert any(newest.name in line and "damaged" in line and file.name in line for line in lines)
    assert any(f"goes on from step {int(older.name[5:])} of" in line for line in lines)
    assert_same_run(straight, root, "sft")


def test_where_no_checkpoint_is_sound_the_stage_starts_again(
    recipe_file: Path, straight: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        folder = interrupted(recipe_file, root, "sft", patch, 5)
    for checkpoint in folder.glob("step-*"):
        (checkpoint / "optimizer.pt").unlink()
    lines = train(recipe_file, root, "sft")
    assert sum("is damaged" in line for line in lines) == 2
    assert "sft: starts again from nothing: it did not finish" in lines
    assert_same_run(straight, root, "sft")


@pytest.mark.parametrize(
    ("took", "size", "wait"),
    [
        (None, 8e6, 5.0),  # a small model: the least
        (None, 2e8, 50.0),  # a second for a checkpoint at 200 MB/s
        (None, 1e12, 300.0),  # nobody waits longer for a first one
        (0.02, 8e6, 5.0),
        (2.0, 8e6, 100.0),  # 2 % of the time
    ],
)
def test_checkpoints_take_at_most_a_fiftieth_of_the_time(
    tmp_path: Path, took: float | None, size: float, wait: float
) -> None:
    assert Checkpoints(tmp_path, "sft", print).wait(took, int(size)) == wait
    assert Checkpoints(tmp_path, "sft", print, seconds=0).wait(took, int(size)) == 0


@pytest.mark.parametrize("how", ["kill", "full"])
def test_a_save_that_breaks_off_anywhere_leaves_the_checkpoint_before_it(
    recipe_file: Path, straight: Path, root: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The k-th flush of the second checkpoint fails."""
    original = os.fsync
    for k in (0, 6):
        shutil.rmtree(directory(root, "sft"))
        with monkeypatch.context() as patch:
            count = [0]

            def failing(descriptor: int, count: Any = count, k: int = k) -> None:
                if "step-000001" in os.listdir(directory(root, "sft") / "resume"):
                    count[0] += 1
                    if count[0] == k + 1:
                        raise Killed if how == "kill" else OSError(28, os.strerror(28), "a file")
                original(descriptor)

            def write(self: Any, *args: Any, write: Any = ResumableTrainer._write_checkpoint,
                      failing: Any = failing, **kwargs: Any) -> None:  # fmt: skip
                (directory(root, "sft") / "resume").mkdir(exist_ok=True)
                patch.setattr(os, "fsync", failing)
                write(self, *args, **kwargs)
                patch.setattr(os, "fsync", original)

            patch.setattr(ResumableTrainer, "_write_checkpoint", write)
            with pytest.raises((Killed, StorageError)) as error:
                train(recipe_file, root, "sft", checkpoint_seconds=0.0)
        if how == "full":
            message = str(error.value)
            assert "the disk is full" in message and "bytes are free" in message
            assert "step-000001" in message and "\n" not in message
            assert not (directory(root, "sft") / "resume" / ".writing").exists()
        lines = train(recipe_file, root, "sft")
        assert any("goes on from step" in line for line in lines)
        assert_same_run(straight, root, "sft")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "field"),
    [
        ("sft", "weights"), ("sft", "_tr_loss"), ("sft", "_metrics"),
        ("sft", "logs"), ("reward", "counts"), ("ppo", "kl_coef"), ("ppo", "score_offset"),
        ("ppo", "history"), ("dpo", "random"), ("dpo", "meter"),
    ],
)  # fmt: skip
def test_everything_in_a_checkpoint_is_needed(
    recipe_file: Path,
    straight: Path,
    root: Path,
    stage: str,
    field: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        # between two log rows, so that there are sums to lose
        interrupted(recipe_file, root, stage, patch, 5 if stage == "sft" else 3)

    def changed(self: Any, path: Path, original: Any = resuming.Memory.__init__) -> None:
        original(self, path)
        trainer = self.values["trainer"]
        if field == "random":
            self._tensors["random.cpu"] = torch.Generator().manual_seed(9).get_state()
        elif field == "counts":
            trainer["counts"] = [0, 0, 0]
        elif field in ("_metrics", "history"):
            trainer[field] = {"train": {}} if field == "_metrics" else {}
        elif field == "meter":
            self.values["meter"]["tokens"] = {}
        elif field == "logs":
            self.values["logs"] = {}
        elif field in trainer:
            trainer[field] += 0.5

    with monkeypatch.context() as patch:
        patch.setattr(resuming.Memory, "__init__", changed)
        if field == "weights":
            patch.setattr(resuming, "load_weights", lambda *_: None)
        train(recipe_file, root, stage)
    with pytest.raises(AssertionError):
        assert_same_run(straight, root, stage)


LORA = ("model.lora={r: 4, lora_alpha: 8}", "ppo.reference_ema=null")
CASES = [
    ("sft", 5, ()),
    ("reward", 7, ("reward.max_responses=2",)),
    ("dpo", 7, ()),
    ("dpo", 7, ("dpo.gradient_accumulation_steps=2", "dpo.num_train_epochs=4")),
    ("dpo", 7, ("dpo.loss_type=[ipo]", "dpo.keep=last", "dpo.max_steps=9")),
    ("ppo", 3, ("ppo.value_trunk=shared", "ppo.reference_ema=null")),
    ("reward", 7, LORA),
    ("dpo", 7, LORA),
    ("ppo", 3, LORA),
    ("sft", 5, ("sft.save_strategy=steps", "sft.save_steps=2")),
]


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "step", "overrides"), CASES)
def test_other_settings_go_on_as_exactly(
    recipe_file: Path,
    tmp_path: Path,
    stage: str,
    step: int,
    overrides: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train(recipe_file, tmp_path / "straight", stage, *overrides)
    with monkeypatch.context() as patch:
        after_step(patch, step, Kill())
        seconds = 1e9 if "sft.save_steps=2" in overrides else 0.0
        if stage == "sft":
            with pytest.raises(Killed):
                train(recipe_file, tmp_path / "runs", stage, *overrides, checkpoint_seconds=seconds)
        else:
            shutil.copytree(tmp_path / "straight", tmp_path / "runs")
            shutil.rmtree(directory(tmp_path / "runs", stage))
            with pytest.raises(Killed):
                train(recipe_file, tmp_path / "runs", stage, *overrides, checkpoint_seconds=seconds)
    lines = train(recipe_file, tmp_path / "runs", stage, *overrides)
    assert any("goes on from step" in line for line in lines)
    if seconds:  # the recipe's own checkpoints are still there
        own = sorted(p.name for p in directory(tmp_path / "runs", stage).glob("checkpoint-*"))
        assert own == ["checkpoint-2", "checkpoint-4", "checkpoint-6"]
    assert_same_run(tmp_path / "straight", tmp_path / "runs", stage)
