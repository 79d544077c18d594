"""W&B is a sink: it never prompts, never fails a stage and never holds one up."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import wandb

from rlhf_compare.runs.config import TrackingConfig
from rlhf_compare.runs.wandb_account import (
    describe_tracking,
)
from tests.runs.wandb_stage import Stage, of_type, records, runs_in

pytestmark = pytest.mark.usefixtures("fresh_process")

# --- what an offline run holds


def test_a_run_holds_its_own_settings_and_one_row_a_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path, "dpo_chapter", seed=3)
    stage.step({"loss": 1.0})
    stage.step({"loss": 0.5}, {"eval_loss": 0.4}, {"eval_adoption_exact": 0.25})
    stage.end()
    (folder,) = runs_in(tmp_path)
    rows = records(folder)
    (run,) = of_type(rows, "run")[:1]
    config = run["config"]["update"]
    assert run["project"] == "rlhf-compare" and run["display_name"] == "dpo_chapter-3"
    assert run["run_id"].startswith("tiny-dpo_chapter-3-")
    assert config["method"] == "dpo_chapter" and config["base_method"] == "dpo"
    assert (config["seed"], config["recipe_name"]) == (3, "tiny")
    assert config["dpo"]["beta"] == 0.3 and config["dpo"]["loss_type"] == ["sppo_hard"]
    assert config["dpo"]["learning_rate"] == 0.5  # the trainer's own, which no recipe set
    assert config["recipe"]["dpo"]["beta"] == 0.04 and "commit" in config
    names = ["loss", "eval_loss", "eval_adoption_exact"]
    metrics = of_type(rows, "metric")
    assert [(m["name"], m["step_metric"]) for m in metrics] == [
        (name, "trainer/global_step") for name in names
    ]
    history = [
        {k: v for k, v in row["item"].items() if not k.startswith("_")}
        for row in of_type(rows, "history")
    ]
    assert history == [
        {"trainer/global_step": 1, "loss": 1.0},
        {"trainer/global_step": 2, "loss": 0.5, "eval_loss": 0.4, "eval_adoption_exact": 0.25},
    ]


def test_a_resumed_stage_goes_on_with_its_run_and_a_new_one_has_its_own(tmp_path: Path) -> None:
    Stage(tmp_path).end()
    Stage(tmp_path).end()  # its folder still holds what the first one left
    Stage(tmp_path, seed=1).end()
    ids = [of_type(records(path), "run")[0]["run_id"] for path in runs_in(tmp_path)]
    assert len(ids) == 3 and len(set(ids)) == 2


def test_the_environment_wins_over_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"PROJECT": "mine", "RUN_GROUP": "trials", "NAME": "n", "TAGS": "a,b", "NOTES": "why"}
    for name, value in given.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "elsewhere"))
    Stage(tmp_path / "runs").end()
    (folder,) = runs_in(tmp_path / "elsewhere")
    run = of_type(records(folder), "run")[0]
    assert (run["project"], run["run_group"], run["display_name"]) == ("mine", "trials", "n")
    assert run["tags"] == ["a", "b"] and run["notes"] == "why"
    assert str(tmp_path / "elsewhere") in describe_tracking(TrackingConfig(), tmp_path / "runs")


def test_the_printed_commands_find_the_runs(tmp_path: Path) -> None:
    Stage(tmp_path).end()
    line = describe_tracking(TrackingConfig(), tmp_path)
    sync = line.split("upload: `")[1].split("`")[0]
    done = subprocess.run(
        f"{sync} --dry-run", shell=True, capture_output=True, text=True, check=True
    )
    assert "Would sync 1 run(s)" in done.stdout + done.stderr


@pytest.mark.parametrize("sweep", [None, "s1"])
def test_a_run_id_of_the_environment_is_one_run_and_not_all(
    sweep: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "abc123")
    monkeypatch.setenv("WANDB_RESUME", "allow")
    if sweep:
        monkeypatch.setenv("WANDB_SWEEP_ID", sweep)
    for stage in ("sft", "ppo", "dpo"):
        Stage(tmp_path, stage).end()
    runs = [of_type(records(folder), "run")[0] for folder in runs_in(tmp_path)]
    ids = {run["display_name"]: run["run_id"] for run in runs}
    assert ids["sft-0"] == "abc123" and len(set(ids.values())) == 3
    for run in runs:
        assert run["run_group"] == "abc123"
        assert run["config"]["update"]["foreign_run_id"] == "abc123"
        assert run["config"]["update"].get("sweep_id") == sweep
    if sweep:
        assert [run.get("sweep_id") for run in runs if run["run_id"] == "abc123"] == [sweep]


@pytest.mark.parametrize("broken", ["log", "finish"])
def test_wandb_that_breaks_stops_nothing(
    broken: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise ConnectionError("gone")

    stage = Stage(tmp_path)
    monkeypatch.setattr(type(stage.callback._run), broken, fail)
    stage.step({"loss": 1.0})
    stage.end()
    assert "gone" in caplog.text


def test_a_wandb_that_cannot_start_at_all_is_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError("disk")

    monkeypatch.setattr(wandb, "init", fail)
    for stage in ("sft", "dpo"):
        run = Stage(tmp_path, stage)
        run.step({"loss": 1.0})
        run.end()
    assert caplog.text.count("W&B is off: disk") == 1


def test_disabled_loads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    Stage(tmp_path, wandb="disabled").end()
    assert list(tmp_path.rglob("wandb")) == []
