"""A stage that was interrupted goes on and ends as the stage that was not, to the bit."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from rlhf_compare.errors import StageStoppedError
from rlhf_compare.runs.checkpoints import Checkpoints
from tests.runs.interruptions import (
    STAGES,
    Kill,
    Killed,
    Signal,
    after_step,
    assert_same_run,
    directory,
    rows,
    train,
)


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


def test_a_run_goes_on_inside_an_epoch_whose_batches_were_shuffled(
    recipe_file: Path, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty batches of like length: their order is drawn again where the run goes on."""
    small = ("dpo.per_device_train_batch_size=4", "dpo.max_steps=6", "dpo.keep=last")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for place in (whole, cut):
        for stage in ("data", "sft"):
            shutil.copytree(straight / "micro" / stage, place / "micro" / stage)
    train(recipe_file, whole, "dpo", *small)
    with monkeypatch.context() as patch:
        after_step(patch, 3, Kill())
        with pytest.raises(Killed):
            train(recipe_file, cut, "dpo", *small, checkpoint_seconds=0.0)
    assert any("goes on from step" in line for line in train(recipe_file, cut, "dpo", *small))
    assert_same_run(whole, cut, "dpo")


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
