"""Only a sound checkpoint is used, and it holds all that a stage needs."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from rlhf_compare.errors import StorageError
from rlhf_compare.runs import resuming
from rlhf_compare.runs.resumable import ResumableTrainer
from tests.runs.interruptions import Kill, Killed, after_step, assert_same_run, directory, train


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
