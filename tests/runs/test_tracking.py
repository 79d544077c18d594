"""metrics.jsonl is the truth; W&B never prompts and never fails a run."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from rlhf_compare.runs.config import TrackingConfig
from rlhf_compare.runs.tracking import EvaluateEvenly, MetricsLog, WandbCallback, wandb_mode


def events(callback: Any, tmp_path: Path, rows: list[dict[str, float]]) -> None:
    args = TrainingArguments(output_dir=str(tmp_path), report_to="none")
    state, control = TrainerState(is_world_process_zero=True), TrainerControl()
    callback.on_train_begin(args, state, control)
    for row in rows:
        state.global_step += 1
        callback.on_log(args, state, control, logs=row)
    callback.on_train_end(args, state, control)


def wandb_callback(tmp_path: Path, **config: Any) -> WandbCallback:
    tracking = TrackingConfig(**config)
    return WandbCallback(tracking, tmp_path, "sft-0", "tiny", {"name": "tiny"})


def test_every_row_is_on_disk_and_a_nan_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    events(MetricsLog(path), tmp_path, [{"loss": 1.0}, {"loss": float("nan")}])
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows == [{"step": 1, "loss": 1.0}, {"step": 2, "loss": "nan"}]


@pytest.mark.parametrize(
    ("environment", "recipe", "expected"),
    [
        ({}, "auto", "offline"),
        ({"WANDB_API_KEY": "k" * 40}, "auto", "online"),
        ({}, "disabled", "disabled"),
        ({"WANDB_MODE": "disabled"}, "online", "disabled"),
        ({"WANDB_MODE": "offline", "WANDB_API_KEY": "k" * 40}, "auto", "offline"),
    ],
)
def test_mode(
    environment: dict[str, str],
    recipe: str,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wandb_mode(TrackingConfig(wandb=recipe)) == expected  # type: ignore[arg-type]


def test_offline_run_holds_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    events(wandb_callback(tmp_path), tmp_path, [{"loss": 1.0}, {"loss": 0.5}])
    files = list(tmp_path.glob("wandb/offline-run-*/*.wandb"))
    assert len(files) == 1 and files[0].stat().st_size > 0


@pytest.mark.parametrize("broken", ["init", "log", "finish"])
def test_wandb_that_breaks_stops_nothing(
    broken: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise ConnectionError("gone")

    def ok(*_: Any, **__: Any) -> None:
        return None

    run = SimpleNamespace(define_metric=ok, log=ok, finish=ok)
    fake = SimpleNamespace(init=lambda **_: run, Settings=lambda **_: None)
    if broken == "init":
        fake.init = fail
    else:
        setattr(run, broken, fail)
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setitem(sys.modules, "wandb", fake)
    events(wandb_callback(tmp_path), tmp_path, [{"loss": 1.0}, {"loss": 0.5}])
    assert "gone" in caplog.text


@pytest.mark.parametrize(
    ("times", "steps", "expected"),
    [(10, 12, 10), (1, 12, 1), (10, 4, 4), (3, 9, 3)],
)
def test_evaluations_are_even_and_the_last_is_at_the_end(
    times: int, steps: int, expected: int
) -> None:
    callback, due = EvaluateEvenly(times), []
    for step in range(1, steps + 1):
        state, control = TrainerState(global_step=step, max_steps=steps), TrainerControl()
        callback.on_step_end(None, state, control)  # type: ignore[arg-type]
        if control.should_evaluate:
            due.append(step)
    assert len(due) == expected and due[-1] == steps
    gaps = {b - a for a, b in zip([0, *due], due, strict=False)}
    assert max(gaps) - min(gaps) <= 1
