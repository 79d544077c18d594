"""A stage that is killed and goes on: every step is in W&B, and once.

The processes are real and so is SIGKILL; W&B's own reader and uploader say what arrived.
"""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rlhf_compare.runs.wandb_history import STEP, Held, held_by, logged
from tests.runs.wandb_server import WandbServer
from tests.runs.wandb_stage import KEY, runs_in

ROOT = Path(__file__).parents[2]

# one process: the rows of some steps, then the end or a kill; ``last`` is logged when all is done
PROCESS = """
import json, os, signal, sys, time
from pathlib import Path
from transformers import TrainerControl, TrainerState, TrainingArguments
from rlhf_compare.runs.config import TrackingConfig
from rlhf_compare.runs.stage_run import StageRun
from rlhf_compare.runs.tracking import MetricsLog
from rlhf_compare.runs.wandb_run import WandbCallback

mode, first, last, kill, pause, after = json.loads(sys.argv[1])
here = Path("dpo-0")
args = TrainingArguments(output_dir="dpo-0", report_to="none")
state, control = TrainerState(is_world_process_zero=True), TrainerControl()
state.global_step = first - 1
run = StageRun(recipe={"name": "tiny"}, stage="dpo", seed=0, directory=here)
here.mkdir(exist_ok=True)
callbacks = [MetricsLog(here / "metrics.jsonl"), WandbCallback(TrackingConfig(wandb=mode), run)]

def tell(event, **more):
    for callback in callbacks:
        getattr(callback, event)(args, state, control, **more)

tell("on_train_begin")
for step in range(first, last + 1):
    tell("on_step_begin")
    state.global_step = step
    tell("on_log", logs={"loss": step / 3})
    if step == pause:
        time.sleep(2.5)  # W&B has the steps before on the disk
    if step % 2 == 0:
        tell("on_log", logs={"eval_loss": step / 7})
if kill:
    os.kill(os.getpid(), signal.SIGKILL)
if after:
    tell("on_log", logs=after)
callbacks[1].close()
"""


@pytest.fixture
def server() -> Iterator[WandbServer]:
    served = WandbServer()
    yield served
    served.stop()


class Runs:
    def __init__(self, root: Path, server: WandbServer) -> None:
        self.root, self.server = root, server
        ours = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
        paths = {"HOME": str(root), "NETRC": str(root / "netrc"), "PYTHONPATH": str(ROOT)}
        account = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY}
        account["WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL"] = "0.5"  # seconds; W&B's own is 15
        self.environment = {**ours, **paths, **account, "OMP_NUM_THREADS": "1"}

    def process(
        self,
        mode: str,
        first: int,
        last: int,
        kill: bool = False,
        pause: int = 0,
        after: Any = None,
    ) -> None:
        asked = json.dumps([mode, first, last, kill, pause, after])
        done = subprocess.run(
            [sys.executable, "-c", PROCESS, asked], cwd=self.root, env=self.environment,
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == (-signal.SIGKILL if kill else 0), done.stderr

    def cut(self, checkpoint: int) -> None:
        """As a stage that goes on from a checkpoint does with its log."""
        path = self.root / "dpo-0" / "metrics.jsonl"
        rows = path.read_text().splitlines(keepends=True)
        path.write_text("".join(row for row in rows if json.loads(row)["step"] <= checkpoint))

    def upload(self) -> list[dict[str, Any]]:
        """What the server holds when offline folders were uploaded, as our message says."""
        subprocess.run(
            [Path(sys.executable).parent / "wandb", "sync", *runs_in(self.root)], cwd=self.root,
            env=self.environment, check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        ((_, lines),) = ((run, self.server.history(run)) for run in self.server.lines)
        return lines


@pytest.fixture
def runs(tmp_path: Path, server: WandbServer) -> Runs:
    return Runs(tmp_path, server)


def counts(rows: list[dict[str, Any]]) -> dict[tuple[int, str], int]:
    """How often each metric stands at each step."""
    return Counter(
        (row[STEP], name)
        for row in rows
        for name in row
        if not name.startswith("_") and name != STEP
    )


def once(last: int) -> dict[tuple[int, str], int]:
    losses = {(step, "loss"): 1 for step in range(1, last + 1)}
    return losses | {(step, "eval_loss"): 1 for step in range(2, last + 1, 2)}


@pytest.mark.parametrize(
    ("before", "then", "pause", "checkpoint"),
    [
        # steps after the checkpoint arrived
        ("offline", "offline", 6, 3),
        pytest.param("online", "online", 6, 3, marks=pytest.mark.slow),
        # steps before the checkpoint did not arrive
        pytest.param("online", "online", 3, 6, marks=pytest.mark.slow),
        # nothing arrived
        pytest.param("offline", "offline", 0, 4, marks=pytest.mark.slow),
        pytest.param("online", "online", 0, 4, marks=pytest.mark.slow),
        pytest.param("offline", "online", 6, 3, marks=pytest.mark.slow),
        pytest.param("online", "offline", 6, 3, marks=pytest.mark.slow),
    ],
)
def test_every_step_is_there_once(
    before: str, then: str, pause: int, checkpoint: int, runs: Runs
) -> None:
    runs.process(before, 1, 6, kill=True, pause=pause)
    runs.cut(checkpoint)
    runs.process(then, checkpoint + 1, 9)
    rows = runs.upload()
    assert counts(rows) == once(9)
    assert [row[STEP] for row in rows] == list(range(1, 10))
    log = (runs.root / "dpo-0" / "metrics.jsonl").read_text().splitlines()
    assert counts([{STEP: (row := json.loads(line)).pop("step"), **row} for line in log]) == once(9)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["offline", "online"])
def test_what_is_measured_when_all_steps_were_sent_still_arrives(mode: str, runs: Runs) -> None:
    """A stage that was stopped after its last step and measures once more."""
    runs.process(mode, 1, 4)
    runs.process(mode, 5, 4, after={"loss": 9.0, "eval_best": 0.5})
    rows = runs.upload()
    assert counts(rows) == once(4) | {(4, "eval_best"): 1}


@pytest.mark.slow
def test_two_kills(runs: Runs) -> None:
    for first, killed, checkpoint in ((1, 5, 2), (3, 7, 4)):
        runs.process("online", first, killed, kill=True, pause=killed)
        runs.cut(checkpoint)
    runs.process("online", 5, 9)
    assert counts(runs.upload()) == once(9)


def test_what_the_server_lacks() -> None:
    values = {"loss": 1.0, "eval_loss": 2.0}
    rows = {5: {"loss": 1.0}}
    held = held_by({STEP: 5, "loss": 1.0}, rows)
    assert held.lacks(4, values) == {} and held.lacks(6, values) == values
    assert held.lacks(5, values) == {"eval_loss": 2.0}
    assert held_by({STEP: 6}, rows).lacks(6, values) == {}  # the row comes a second time
    assert held_by({}, rows).lacks(0, values) == Held().lacks(0, values) == values


def test_rows_of_one_step_are_joined_and_text_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert logged(path) == {}
    path.write_text('{"step": 2, "a": 1, "b": "nan"}\n{"step": 1, "a": 0}\n{"step": 2, "c": 3}\n')
    assert list(logged(path).items()) == [(1, {"a": 0}), (2, {"a": 1, "c": 3})]
