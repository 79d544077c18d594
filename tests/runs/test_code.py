"""What code made a stage: known, kept, told; and --fresh, which runs every stage again."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rlhf_compare.collect import collect_results
from rlhf_compare.pipeline import Pipeline
from rlhf_compare.recipe import load_recipe
from rlhf_compare.reporting.caveats import caveats
from rlhf_compare.reporting.schema import Results
from rlhf_compare.runs import code, provenance
from rlhf_compare.runs.code import PACKAGE, code_of, section_of
from rlhf_compare.runs.config import TrackingConfig
from rlhf_compare.runs.context import StageContext
from rlhf_compare.runs.runner import Stage, StageRunner

STAGES = ("data", "sft", "reward", "ppo", "dpo", "evaluation")
SetCode = Callable[..., None]


# --- the digest


@pytest.mark.parametrize(
    ("file", "concerns"),
    [
        ("models/heads.py", {*STAGES}),
        ("pipeline.py", {*STAGES}),
        ("data/formats/parse.py", {*STAGES}),
        ("evaluation/probe.py", {*STAGES}),
        ("a_new_module.py", {*STAGES}),
        ("dpo/trainer.py", {"dpo"}),
        ("ppo/loss.py", {"ppo"}),
        ("reporting/tables.py", set()),
        ("preflight/check.py", set()),
        ("cli.py", set()),
    ],
)
def test_an_edit_concerns_the_stages_that_run_on_it(
    file: str, concerns: set[str], tmp_path: Path
) -> None:
    before = tmp_path / "before"
    shutil.copytree(PACKAGE, before, ignore=shutil.ignore_patterns("*.jsonl", "__pycache__"))
    same, after = (shutil.copytree(before, tmp_path / name) for name in ("same", "after"))
    assert all(code_of(stage, before) == code_of(stage, same) for stage in STAGES)
    with (after / file).open("a") as stream:
        stream.write("# edited\n")
    assert {
        stage for stage in STAGES if code_of(stage, before) != code_of(stage, after)
    } == concerns


def test_a_stage_of_any_name_finds_its_folder() -> None:
    recipe = {"variants": {"chapter": {"method": "dpo"}}}
    names = ("data", "sft", "judge", "ppo", "chapter", "evaluate-chapter")
    sections = [section_of(recipe, name) for name in names]
    assert sections == ["data", "sft", "reward", "ppo", "dpo", "evaluation"]
    assert all(section in code_of(section) for section in sections)


def test_an_installed_package_has_digests_and_no_commit(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "rlhf_compare")
    script = (
        "from rlhf_compare.runs.provenance import provenance\n"
        "print(provenance({}, 'dpo')['commit'], provenance({}, 'dpo')['code'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.strip() == f"None {code_of('dpo')}"


# --- the runner


@pytest.fixture
def set_code(monkeypatch: pytest.MonkeyPatch) -> SetCode:
    """Let the process run on code with these digests, of this commit."""

    def to(commit: str = "a" * 40, dirty: bool = False, torch: str = "2.11", **parts: str) -> None:
        monkeypatch.setattr(provenance, "code_of", lambda _: parts)
        monkeypatch.setattr(provenance, "_git", lambda: (commit, dirty))
        monkeypatch.setattr(provenance, "_versions", lambda: {"torch": torch})

    to(models="1", runs="1")
    return to


class Runs:
    """A stage ``a`` and a stage ``b`` that is made from it, by a runner of its own."""

    def __init__(self, root: Path, **options: Any) -> None:
        self.said: list[str] = []
        self.ran: list[str] = []
        tracking = TrackingConfig(wandb="disabled")
        self.runner = StageRunner(root, {"name": "micro"}, 0, tracking, self.said.append, **options)

    def a(self, rate: int = 1, work: Any = None) -> Stage:
        return self.runner.run("a", None, {"rate": rate}, work or self._work, trains=False)

    def b(self) -> Stage:
        return self.runner.run("b", 0, {"a": self.a().inputs_hash}, self._work, trains=False)

    def _work(self, context: StageContext) -> None:
        self.ran.append(context.name)

    def line(self, label: str) -> str:
        (line,) = [line for line in self.said if line.startswith(f"{label}: done before")]
        return line


def test_what_other_code_made_is_kept_and_said(tmp_path: Path, set_code: SetCode) -> None:
    Runs(tmp_path).b()
    same = Runs(tmp_path)
    same.b()
    assert same.ran == [] and "made by" not in "".join(same.said)
    set_code(commit="b" * 40, models="2", runs="1")
    again = Runs(tmp_path)
    again.b()
    assert again.ran == []
    words = "done before, kept; made by other code (commit aaaaaaa; models changed since)"
    assert again.line("a") == f"a: {words}: --fresh runs it again ({tmp_path / 'a'})"


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ({"models": "1", "runs": "1"}, None),  # another commit that changed none of it
        ({"models": "1", "runs": "1", "torch": "2.12"}, "other libraries (torch 2.11)"),
        ({"models": "1"}, "other code (commit aaaaaaa; runs changed since)"),
    ],
)
def test_what_counts_as_other_code(
    now: dict[str, str], words: str | None, tmp_path: Path, set_code: SetCode
) -> None:
    Runs(tmp_path).a()
    set_code(commit="b" * 40, dirty=True, **now)
    again = Runs(tmp_path)
    again.a()
    assert again.ran == [] and (words or "kept (") in again.line("a")


def test_uncommitted_and_unrecorded_code_is_named(tmp_path: Path, set_code: SetCode) -> None:
    set_code(dirty=True, models="1")
    stage = Runs(tmp_path).a()
    set_code(models="2")
    again = Runs(tmp_path)
    again.a()
    assert "(commit aaaaaaa with changes; models changed since)" in again.line("a")
    record = stage.directory.record()
    del record["provenance"]["code"]  # as an earlier version wrote it
    marker = stage.directory.path / "done.json"
    stage.directory.write_record(record)
    stage.directory.finish(stage.directory.inputs_hash or "")
    assert marker.is_file()
    old = Runs(tmp_path)
    old.b()
    assert "made by code that was not recorded" in old.line("a")
    kept = Runs(tmp_path)
    kept.b()
    assert kept.ran == []


def test_a_stage_that_was_made_anew_by_other_code_is_another_input(
    tmp_path: Path, set_code: SetCode
) -> None:
    """Else one comparison would hold policies of two SFT models."""
    Runs(tmp_path).b()
    set_code(models="2")
    Runs(tmp_path, fresh=True).a()
    again = Runs(tmp_path)
    again.b()
    assert again.ran == ["b"] and any(line.startswith("b-0: a ") for line in again.said)


def test_the_same_code_makes_the_same_input(tmp_path: Path, set_code: SetCode) -> None:
    Runs(tmp_path).b()
    Runs(tmp_path, fresh=True).a()
    again = Runs(tmp_path)
    again.b()
    assert again.ran == []


def test_fresh_sets_aside_and_runs_each_stage_once(tmp_path: Path, set_code: SetCode) -> None:
    first = Runs(tmp_path).a().directory
    (first.path / "mark").write_text("the first")
    Runs(tmp_path).b()
    fresh = Runs(tmp_path, fresh=True)
    inputs = {"a": "x"}
    assert fresh.runner.find("a", None, {"rate": 1}) is None
    fresh.b()
    fresh.b()
    assert fresh.ran == ["a", "b"]
    assert fresh.runner.find("a", None, {"rate": 1}) is not None
    assert fresh.runner.find("b", 0, inputs) is None
    (aside,) = tmp_path.glob("a.*")
    assert (aside / "mark").read_text() == "the first" and not (tmp_path / "a" / "mark").exists()
    assert f"a: made anew (--fresh); the earlier one is kept in {aside.name}" in fresh.said
    assert len(list(tmp_path.glob("b-0.*"))) == 1


def test_of_two_with_the_same_settings_the_later_one_is_taken_back(
    tmp_path: Path, set_code: SetCode
) -> None:
    for mark in map(str, range(12)):  # "-10" sorts before "-2" as text
        stage = Runs(tmp_path, fresh=True).a()
        (stage.directory.path / "mark").write_text(mark)
    Runs(tmp_path).a(rate=2)
    back = Runs(tmp_path)
    assert (back.a().directory.path / "mark").read_text() == "11" and back.ran == []
    Runs(tmp_path, fresh=True).a(rate=3)
    assert len(list(tmp_path.glob("a.*"))) == 13


def stop(context: StageContext) -> None:
    (context.directory.path / "half").write_text("")
    assert context.checkpoints is not None
    context.checkpoints.write(3, lambda folder: (folder / "state").write_text("3") and None)
    raise KeyboardInterrupt


def test_fresh_starts_an_unfinished_stage_again_and_says_how_to_go_on(
    tmp_path: Path, set_code: SetCode
) -> None:
    with pytest.raises(KeyboardInterrupt):
        Runs(tmp_path).a(work=stop)
    fresh = Runs(tmp_path, fresh=True)
    found: list[bool] = []

    def look(context: StageContext) -> None:
        found.append((context.directory.path / "half").exists())
        assert context.checkpoints is not None and context.checkpoints.newest() is None
        assert context.checkpoints.again == "the same command without --fresh"
        stop(context)

    with pytest.raises(KeyboardInterrupt):
        fresh.a(work=look)
    assert found == [False] and not list(tmp_path.glob("a.*"))
    assert "a: interrupted; the same command without --fresh goes on from step 3" in fresh.said


def test_other_code_that_goes_on_with_a_stage_is_written_down(
    tmp_path: Path, set_code: SetCode
) -> None:
    with pytest.raises(KeyboardInterrupt):
        Runs(tmp_path).a(work=stop)
    for _ in range(2):
        set_code(commit="b" * 40, models="2")
        second = Runs(tmp_path)
        with pytest.raises(KeyboardInterrupt):
            second.a(work=stop)
    assert not any("began with" in line for line in second.said)  # the second time it is the same
    set_code(commit="c" * 40, models="1", runs="1")
    third = Runs(tmp_path)
    record = third.a().directory.record()
    assert any("began with other code (commit bbbbbbb; models, runs" in x for x in third.said)
    commits = [maker["commit"][0] for maker in provenance.makers(record)]
    assert commits == ["a", "b", "c"]
    kept = Runs(tmp_path)
    kept.a()
    assert "made by other code (commit bbbbbbb" in kept.line("a")
    assert provenance.of_stage(record)["made_by_other_code"]


# --- the page


def test_results_name_the_code_of_every_stage(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def results() -> Results:
        pipeline = Pipeline(load_recipe(recipe_file), tmp_path, say=lambda _: None)
        evaluations = pipeline.compare(("sft", "dpo"), (0,), False)
        return collect_results(pipeline.finished(evaluations), "test")

    made = results()
    stages = made.provenance.stages
    assert set(stages) == {"data", "sft", "dpo-0", "evaluate-sft-0", "evaluate-dpo-0"}
    assert stages["dpo-0"].code == code_of("dpo") and "ppo" not in stages["dpo-0"].code
    assert not any(stage.made_by_other_code for stage in stages.values())
    assert not any("code" in note for note in caveats(made))

    parts = {**code._parts(PACKAGE), "dpo": "edited"}
    monkeypatch.setattr(code, "_parts", lambda _: parts)
    edited = results()
    other = [k for k, v in edited.provenance.stages.items() if v.made_by_other_code]
    assert other == ["dpo-0"]
    (note,) = [note for note in caveats(edited) if "other code" in note]
    assert note.startswith("Made by other code than that which wrote these results: dpo-0.")
