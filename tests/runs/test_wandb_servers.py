"""A W&B server that fails or hangs costs seconds and no stage."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from rlhf_compare.errors import StageFailedError
from rlhf_compare.runs import wandb_run
from rlhf_compare.runs.config import TrackingConfig
from rlhf_compare.runs.context import StageContext
from rlhf_compare.runs.runner import StageRunner
from rlhf_compare.runs.wandb_account import (
    destination,
)
from rlhf_compare.runs.wandb_run import WandbCallback
from tests.runs.wandb_stage import KEY, RECIPE, Stage, of_type, records, runs_in

from .wandb_server import WandbServer

pytestmark = pytest.mark.usefixtures("fresh_process")

# --- servers


def test_online_says_its_link_and_leaves_no_key(tmp_path: Path, server: WandbServer) -> None:
    stage = Stage(tmp_path)
    stage.step({"loss": 1.0})
    stage.end()
    assert len(stage.said) == 1 and stage.said[0].startswith(f"dpo-0: {server.url}/me/")
    assert destination(TrackingConfig()).mode == "online"
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files and all(KEY.encode() not in path.read_bytes() for path in files)


@pytest.mark.parametrize("mood", ["401", "500", "hang", "refused"])
def test_a_server_that_does_not_take_the_run_is_asked_once(
    mood: str,
    tmp_path: Path,
    server: WandbServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(wandb_run, "_INIT_SECONDS", 1.5)
    if mood == "refused":
        monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    server.mood = mood
    start = time.perf_counter()
    for stage in ("sft", "dpo"):
        run = Stage(tmp_path, stage)
        run.step({"loss": 1.0})
        run.end()
    assert time.perf_counter() - start < 8
    assert sum("this stage and all later ones log offline" in text for text in caplog.messages) == 1
    assert "after " in caplog.text
    if mood == "401":
        assert "the server does not know this key" in caplog.text
    folders = [path for path in runs_in(tmp_path) if path.name.startswith("offline-run-")]
    assert len(folders) == 2
    assert all(len(of_type(records(folder), "history")) == 1 for folder in folders)


@pytest.mark.parametrize("mood", ["500", "hang"])
def test_a_server_that_dies_in_the_middle_costs_seconds(
    mood: str,
    tmp_path: Path,
    server: WandbServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(wandb_run, "_FINISH_SECONDS", 1.5)
    stage = Stage(tmp_path)
    stage.step({"loss": 1.0})
    server.mood = mood
    stage.step({"loss": 0.5})
    start = time.perf_counter()
    stage.callback.on_train_end(stage.args, stage.state, stage.control)
    assert time.perf_counter() - start < 0.5  # the model is not saved yet: nothing waits
    stage.end()
    assert time.perf_counter() - start < 5
    assert "the rows are on disk" in caplog.text and "sync --include-online" in caplog.text
    (folder,) = runs_in(tmp_path)
    assert len(of_type(records(folder), "history")) == 2
    assert destination(TrackingConfig()).mode == "offline"


# --- whole stages


def train_nothing(context: StageContext) -> None:
    """A stage as they all are: callbacks, training, and only then the model on disk."""
    args = TrainingArguments(output_dir=str(context.directory.path), report_to="none")
    state, control = TrainerState(is_world_process_zero=True, max_steps=1), TrainerControl()
    callbacks = context.callbacks("loss")
    for event in ("on_train_begin", "on_step_begin"):
        for callback in callbacks:
            getattr(callback, event)(args, state, control)
    for callback in callbacks:
        callback.on_log(args, state, control, logs={"loss": 1.0})
        callback.on_train_end(args, state, control)
    context.directory.model.mkdir()


def stage_of(root: Path, run: Any) -> list[str]:
    said: list[str] = []
    runner = StageRunner(root, RECIPE, 0, TrackingConfig(), said.append)
    runner.run("sft", None, {}, run)
    return said


def test_the_model_is_saved_and_the_stage_done_before_wandb_is_waited_for(
    tmp_path: Path, server: WandbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wandb_run, "_FINISH_SECONDS", 1.5)
    found: list[bool] = []
    close = WandbCallback.close

    def look(self: WandbCallback, exit_code: int = 0) -> None:
        done = (tmp_path / "sft" / "done.json").is_file()
        found.append((tmp_path / "sft" / "model").is_dir() and done)
        close(self, exit_code)

    def run(context: StageContext) -> None:
        train_nothing(context)
        server.mood = "hang"

    monkeypatch.setattr(WandbCallback, "close", look)
    start = time.perf_counter()
    said = stage_of(tmp_path, run)
    assert time.perf_counter() - start < 6 and found == [True]
    assert any(server.url in line for line in said)
    assert (tmp_path / "wandb").is_dir() and not (tmp_path / "sft" / "wandb").exists()


def test_a_stage_that_fails_ends_its_run_as_failed(tmp_path: Path) -> None:
    def run(context: StageContext) -> None:
        train_nothing(context)
        raise StageFailedError("the loss is nan")

    with pytest.raises(StageFailedError):
        stage_of(tmp_path, run)
    (folder,) = runs_in(tmp_path)
    assert of_type(records(folder), "exit") == [{"exit_code": 1}]


@pytest.mark.slow
@pytest.mark.parametrize("mood", ["500", "hang"])
def test_sft_of_tiny_under_a_server_that_dies(
    mood: str, tmp_path: Path, server: WandbServer
) -> None:
    recipe = Path(__file__).resolve().parents[2] / "recipes" / "tiny.yaml"
    command = [sys.executable, "-m", "rlhf_compare.cli", "sft", "--recipe", str(recipe)]
    environment = {**os.environ, "PYTHONPATH": str(recipe.parents[1]), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([*command, "sft.max_steps=40", "sft.logging_steps=1"],
                               env=environment, stderr=subprocess.PIPE, text=True)  # fmt: skip
    metrics = tmp_path / "runs" / "tiny" / "sft" / "metrics.jsonl"
    while not metrics.exists():
        assert process.poll() is None
        time.sleep(0.05)
    server.mood = mood
    model = metrics.parent / "model" / "model.safetensors"
    while not model.exists():
        assert process.poll() is None
        time.sleep(0.05)
    saved = time.perf_counter()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and time.perf_counter() - saved < 30
    assert "the rows are on disk" in errors and (metrics.parent / "done.json").is_file()
