"""Directories of stages: set aside and taken back, locked, failed; and what makes a stage anew."""

import json
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError

from rlhf_compare.errors import DataError, RecipeError, StageFailedError, StorageError, UserError
from rlhf_compare.runs.config import TrackingConfig
from rlhf_compare.runs.context import StageContext
from rlhf_compare.runs.locks import drop
from rlhf_compare.runs.runner import StageRunner

Run = Callable[..., list[str]]


def write_value(value: int) -> Callable[[StageContext], None]:
    return lambda context: (context.directory.path / "value").write_text(str(value)) and None


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """One stage "a" with one setting, by a runner of its own; returns what was said."""

    def once(value: int, work: Any = None) -> list[str]:
        lines: list[str] = []
        config = TrackingConfig(wandb="disabled")
        runner = StageRunner(tmp_path, {"name": "micro"}, 0, config, lines.append)
        inputs = {"a": {"rate": value, "same": 1}}
        runner.run("a", 0, inputs, work or write_value(value), trains=False)
        return lines

    return once


def value(tmp_path: Path) -> str:
    return (tmp_path / "a-0" / "value").read_text()


def test_another_configuration_sets_the_earlier_one_aside_and_takes_it_back(
    run: Run, tmp_path: Path
) -> None:
    run(1)
    said = run(2)
    (aside,) = tmp_path.glob("a-0.*")
    expected = f"a-0: a.rate 1 -> 2; the earlier one is kept in {aside.name}"
    assert expected in said and len(aside.name) == len("a-0.") + 8
    assert value(tmp_path) == "2" and (aside / "value").read_text() == "1"
    said = run(1, work=lambda _: pytest.fail("run again"))
    assert any("kept" in line for line in said)
    assert f"a-0: taken back from {aside.name}" in said and value(tmp_path) == "1"
    assert len(list(tmp_path.glob("a-0*"))) == 2
    assert any("kept" in line for line in run(2, work=lambda _: pytest.fail("run again")))


def test_a_half_finished_one_is_set_aside_too(run: Run, tmp_path: Path) -> None:
    def stop(context: StageContext) -> None:
        write_value(1)(context)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(1, work=stop)
    run(2)
    (aside,) = tmp_path.glob("a-0.*")
    assert (aside / "value").read_text() == "1" and not (aside / "done.json").exists()


def test_what_is_made_anew_says_why(run: Run, tmp_path: Path) -> None:
    run(1)
    assert not any("again" in line for line in run(1))
    (tmp_path / "a-0" / "value").unlink()
    said = run(1)
    assert "a-0: starts again from nothing: value is missing" in said and value(tmp_path) == "1"

    def stop(_: StageContext) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(2, work=stop)
    assert "a-0: starts again from nothing: it did not finish" in run(2)


@pytest.mark.parametrize("kind", [RecipeError, DataError, ValueError])
def test_any_error_of_a_seed_is_that_seeds_failure(
    run: Run, tmp_path: Path, kind: type[Exception]
) -> None:
    def fail(_: StageContext) -> None:
        raise kind("r is 0")

    with pytest.raises(StageFailedError, match="r is 0; the traceback is in") as error:
        run(1, work=fail)
    assert "in fail" in (tmp_path / "a-0" / "error.txt").read_text()
    assert error.value.exit_code == (1 if kind is ValueError else 2)


def test_a_folder_of_somebody_else_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a-0").mkdir()
    (tmp_path / "a-0" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="not a run directory of ours"):
        run(1)
    assert [p.name for p in (tmp_path / "a-0").iterdir()] == ["thesis.txt"]


def other_process(directory: Path, how: str) -> subprocess.Popen[str]:
    """Another process that holds the directory until it is killed."""
    code = f"""
    import time
    from pathlib import Path
    from rlhf_compare.runs.locks import claim, share
    {how}(Path({str(directory)!r}))
    print("held", flush=True)
    time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("how", ["claim", "share"])
def test_a_directory_in_use_is_refused_and_a_dead_process_holds_nothing(
    run: Run, tmp_path: Path, how: str
) -> None:
    run(1)
    drop(tmp_path / "a-0")  # as if this process had not read it
    process = other_process(tmp_path / "a-0", how)
    try:
        if how == "share":  # reading together is no harm
            assert any("kept" in line for line in run(1))
        with pytest.raises(UserError, match=f"in use by process {process.pid}; wait"):
            run(2)
        assert value(tmp_path) == "1"
    finally:
        process.kill()
        process.wait()
    run(2)
    assert value(tmp_path) == "2"


@pytest.mark.slow
def test_the_seconds_of_a_killed_process_are_lost_and_counted(run: Run, tmp_path: Path) -> None:
    code = f"""
    import os, signal, time
    from pathlib import Path
    from rlhf_compare.runs.config import TrackingConfig
    from rlhf_compare.runs.runner import StageRunner
    def work(context):
        time.sleep(4.5)
        os.kill(os.getpid(), signal.SIGKILL)
    runner = StageRunner(Path({str(tmp_path)!r}), {{"name": "micro"}}, 0,
                         TrackingConfig(wandb="disabled"), print)
    runner.run("a", 0, {{"a": {{"rate": 1, "same": 1}}}}, work, trains=False)
    """
    for _ in range(2):
        killed = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
        assert killed.returncode == -signal.SIGKILL
    run(1)
    cost = json.loads((tmp_path / "a-0" / "cost.json").read_text())
    assert 2 * 2.0 <= cost["lost_to_interruptions"] <= 2 * 4.5 and cost["total"] < 2.0
    assert not (tmp_path / "a-0" / "held.json").exists()


def test_a_failure_leaves_its_traceback_and_one_line(run: Run, tmp_path: Path) -> None:
    def fail(_: StageContext) -> None:
        raise ZeroDivisionError("nothing to divide")

    with pytest.raises(StageFailedError) as error:
        run(1, work=fail)
    file = tmp_path / "a-0" / "error.txt"
    message = f"ZeroDivisionError: nothing to divide; the traceback is in {file}"
    assert str(error.value) == message and "in fail" in file.read_text()
    run(1)
    assert not file.exists()


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device", "/somewhere/metrics.jsonl"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 96192 vs 96084"),
        RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
        SafetensorError(
            "Error while serializing: I/O error: No space left on device (os error 28)"
        ),
    ],
)
def test_a_full_disk_is_named(run: Run, tmp_path: Path, error: Exception) -> None:
    """However the writer that met it puts it."""

    def fail(_: StageContext) -> None:
        raise error

    place = getattr(error, "filename", None) or str(tmp_path / "a-0")
    with pytest.raises(StorageError) as raised:
        run(1, work=fail)
    message = str(raised.value)
    assert message.startswith(place) and "the disk is full, " in message
    assert "bytes are free" in message and "\n" not in message
