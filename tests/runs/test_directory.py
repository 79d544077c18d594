"""A stage is done when its marker says so for exactly these inputs."""

from pathlib import Path

import pytest

from rlhf_compare.errors import UserError
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
