"""A stage is done when its marker says so for these inputs, and all that it made is there."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rlhf_compare.errors import StorageError, UserError
from rlhf_compare.runs import files
from rlhf_compare.runs.directory import RunDirectory, content_hash


def test_done_only_for_the_inputs_it_was_done_with(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "sft")
    assert not directory.is_done("a")
    directory.start({"stage": "sft"})
    assert not directory.is_done("a")
    directory.finish("a")
    assert directory.is_done("a")
    assert not directory.is_done("b")


def test_starting_again_leaves_nothing_of_the_last_run(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "sft")
    directory.start({"stage": "sft"})
    (directory.path / "metrics.jsonl").write_text("{}\n")
    directory.finish("a")
    directory.start({"stage": "sft"})
    assert not directory.is_done("a")
    assert not (directory.path / "metrics.jsonl").exists()


def test_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "sft").mkdir()
    (tmp_path / "sft" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="not a run directory of ours"):
        RunDirectory(tmp_path / "sft").start({})
    assert (tmp_path / "sft" / "thesis.txt").read_text() == "years of work"


def test_half_written_marker_is_not_done(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.start({})
    (tmp_path / "done.json").write_text('{"inputs_ha')
    assert not directory.is_done("a")


def test_hash_does_not_depend_on_key_order_and_does_on_every_value() -> None:
    assert content_hash({"a": 1, "b": [2]}) == content_hash({"b": [2], "a": 1})
    assert content_hash({"a": 1, "b": [2]}) != content_hash({"a": 1, "b": [3]})


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda d: shutil.rmtree(d / "model"), "model/model.safetensors is missing"),
        (lambda d: (d / "model/model.safetensors").write_bytes(b"12"), "has 2 of 3 bytes"),
        (lambda d: (d / "cost.json").unlink(), "cost.json is missing"),
        (lambda d: (d / "done.json").write_text("{}"), "done.json cannot be read"),
        (lambda d: (d / "done.json").unlink(), "it did not finish"),
    ],
)
def test_done_only_where_all_that_was_made_is_there(
    tmp_path: Path, damage: Callable[[Path], None], why: str
) -> None:
    directory = RunDirectory(tmp_path / "sft")
    directory.start({"stage": "sft"})
    directory.model.mkdir()
    (directory.model / "model.safetensors").write_bytes(b"123")
    (directory.path / "cost.json").write_text("{}")
    (directory.path / "checkpoint-5").mkdir()
    (directory.path / "checkpoint-5" / "model.safetensors").write_bytes(b"123")
    directory.finish("a")
    shutil.rmtree(directory.path / "checkpoint-5")  # a Trainer's own: a person may make room
    assert directory.is_done("a")
    damage(directory.path)
    assert not directory.is_done("a") and why in str(directory.why_not_done("a"))


@pytest.mark.parametrize("before", ["nothing", "an earlier run"])
def test_a_start_that_breaks_off_leaves_a_directory_that_can_be_started(
    tmp_path: Path, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, or a kill, while the record is written."""
    directory = RunDirectory(tmp_path / "sft")
    if before == "an earlier run":
        directory.start({"stage": "sft"})
        (directory.path / "metrics.jsonl").write_text("{}\n")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", full)
        with pytest.raises(StorageError, match="the disk is full"):
            directory.start({"stage": "sft"})
    directory.start({"stage": "sft"})
    assert directory.record() == {"stage": "sft"}
    assert not (directory.path / "metrics.jsonl").exists()
