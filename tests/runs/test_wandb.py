"""W&B is a sink: it never prompts, never fails a stage and never holds one up."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
from transformers import TrainerControl, TrainerState, TrainingArguments

from rlhf_compare.errors import RecipeError, StageFailedError
from rlhf_compare.runs import wandb_run
from rlhf_compare.runs.config import TrackingConfig
from rlhf_compare.runs.context import StageContext
from rlhf_compare.runs.runner import StageRunner
from rlhf_compare.runs.stage_run import StageRun
from rlhf_compare.runs.wandb_account import (
    check_tracking,
    describe_tracking,
    destination,
    forget_refusals,
)
from rlhf_compare.runs.wandb_run import WandbCallback

from .wandb_server import WandbServer

KEY = "k" * 40
RECIPE = {
    "name": "tiny",
    "seed": 7,
    "dpo": {"beta": 0.04, "loss_type": ["sppo_hard"]},
    "variants": {"dpo_chapter": {"method": "dpo", "settings": {"beta": 0.3}}},
}


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No account, no variable, nothing remembered; W&B reads the environment anew."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rlhf_compare.runs.wandb_sweep._taken", [])
    forget_refusals()
    wandb.teardown()
    yield
    forget_refusals()
    wandb.teardown()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    served = WandbServer()
    monkeypatch.setenv("WANDB_BASE_URL", served.url)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    yield served
    served.stop()


class Stage:
    """Drives one callback as a trainer does."""

    def __init__(self, root: Path, stage: str = "dpo", seed: int = 0, **config: Any) -> None:
        self.said: list[str] = []
        self.args = TrainingArguments(output_dir=str(root), report_to="none", learning_rate=0.5)
        self.state, self.control = TrainerState(is_world_process_zero=True), TrainerControl()
        run = StageRun(recipe=RECIPE, stage=stage, seed=seed, directory=root / f"{stage}-{seed}")
        self.callback: Any = WandbCallback(TrackingConfig(**config), run, self.said.append)
        self.callback.on_train_begin(self.args, self.state, self.control)

    def step(self, *rows: dict[str, float]) -> None:
        self.callback.on_step_begin(self.args, self.state, self.control)
        self.state.global_step += 1
        for row in rows:
            self.callback.on_log(self.args, self.state, self.control, logs=row)

    def end(self) -> None:
        self.callback.on_train_end(self.args, self.state, self.control)
        self.callback.close()


def records(folder: Path) -> list[dict[str, Any]]:
    """A run as W&B's own reader sees it."""
    done = subprocess.run(
        [Path(sys.executable).parent / "wandb", "leet", "inspect", "--json", folder],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]


def of_type(rows: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [row[kind] for row in rows if row["type"] == kind]


def runs_in(root: Path) -> list[Path]:
    return sorted((root / "wandb").glob("*run-*"))


# --- where runs go


@pytest.mark.parametrize(
    ("environment", "recipe", "expected"),
    [
        ({}, "auto", "offline"),
        ({"WANDB_API_KEY": KEY}, "auto", "online"),
        ({}, "disabled", "disabled"),
        ({}, "online", "offline"),
        ({"WANDB_MODE": "online"}, "auto", "offline"),
        ({"WANDB_MODE": "disabled"}, "online", "disabled"),
        ({"WANDB_MODE": "dryrun", "WANDB_API_KEY": KEY}, "auto", "offline"),
        ({"WANDB_MODE": "offline", "WANDB_API_KEY": KEY}, "auto", "offline"),
        ({"WANDB_API_KEY": "abc"}, "auto", "offline"),
    ],
)
def test_mode(
    environment: dict[str, str], recipe: Any, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert destination(TrackingConfig(wandb=recipe)).mode == expected


@pytest.mark.parametrize(
    ("url", "machine", "expected"),
    [
        ("", wandb.sdk.lib.urls.DEFAULT_BASE_URL.split("//")[1], "online"),  # `wandb login` writes
        ("http://127.0.0.1:8080", "127.0.0.1:8080", "online"),
        ("http://127.0.0.1:8080", "other.example", "offline"),
    ],
)
def test_the_account_is_the_one_that_wandb_itself_finds(
    url: str, machine: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if url:
        monkeypatch.setenv("WANDB_BASE_URL", url)
    (tmp_path / "netrc").write_text(f"machine {machine}\n  login user\n  password {KEY}\n")
    assert destination(TrackingConfig()).mode == expected


def test_a_settings_file_counts(tmp_path: Path) -> None:
    folder = tmp_path / ".config" / "wandb"
    folder.mkdir(parents=True)
    (folder / "settings").write_text(f"[default]\napi_key = {KEY}\n")
    assert destination(TrackingConfig()).mode == "online"


def test_online_without_an_account_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    line = describe_tracking(TrackingConfig(), tmp_path)
    assert "offline" in line and "online was asked for, but no account found" in line


def test_a_key_that_is_none_is_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "se-cret")
    line = describe_tracking(TrackingConfig(), tmp_path)
    assert "the key cannot be one" in line and "se-cret" not in line


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("WANDB_MODE", "foo", "WANDB_MODE='foo': write online, offline or disabled"),
        ("WANDB_PROJECT", "a/b", "WANDB_PROJECT='a/b': may not hold /"),
        ("WANDB_ENTITY", "a:b", "WANDB_ENTITY='a:b': may not hold :"),
    ],
)
def test_the_environment_is_checked(
    name: str, value: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(RecipeError, match=fault):
        check_tracking(TrackingConfig())


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
