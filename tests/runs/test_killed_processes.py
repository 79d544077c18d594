"""Processes of the command line that are killed in the middle, and the same command again."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SHORT = (
    "variants={}", "tracking.wandb=disabled", "sft.max_steps=100", "reward.max_steps=160",
    "data.judge_share=0", "reward.accept_failed_doctor=true", "ppo.total_episodes=1024",
    "dpo.max_steps=120", "evaluation.max_prompts=16", "evaluation.samples_per_prompt=1",
)  # fmt: skip
STAGES = ["sft", "reward-0", "ppo-0", "dpo-0"]


def start(root: Path) -> subprocess.Popen[str]:
    """The same command, whatever happened before."""
    command = [
        sys.executable, "-m", "rlhf_compare.cli", "compare", "--recipe", "recipes/tiny.yaml",
        "--runs", str(root / "runs"), "--reports", str(root / "reports"), *SHORT,
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = process.communicate(timeout=300)
    return process.returncode, said


def stop(root: Path, number: int, moment: Callable[[], bool]) -> tuple[int, str]:
    """Start, and send the signal when ``moment`` has come."""
    process = start(root)
    deadline = time.monotonic() + 200
    while not moment():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    return end(process)


def newest(stage: Path) -> int:
    return max((int(path.name[5:]) for path in (stage / "resume").glob("step-*")), default=0)


def rows(stage: Path) -> list[dict[str, Any]]:
    """Without what a clock says."""
    lines = (stage / "metrics.jsonl").read_text().splitlines()
    timing = ("runtime", "per_second", "_seconds")
    return [{k: v for k, v in json.loads(r).items() if not k.endswith(timing)} for r in lines]


def outcome(stage: Path) -> tuple[Any, ...]:
    weights = hashlib.sha256((stage / "model" / "model.safetensors").read_bytes()).hexdigest()
    return rows(stage), weights, json.loads((stage / "cost.json").read_text())["tokens"]


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("straight")
    code, said = end(start(root))
    assert code == 0, said
    return root


@pytest.fixture
def root(straight: Path, tmp_path: Path) -> Path:
    shutil.copytree(straight, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize(
    ("label", "number"), zip(STAGES, [signal.SIGINT, signal.SIGTERM] * 2, strict=True)
)
def test_a_stage_that_is_killed_and_then_stopped_ends_as_if_it_was_not(
    straight: Path, root: Path, label: str, number: int
) -> None:
    stage = root / "runs" / "tiny" / label
    shutil.rmtree(stage)
    code, said = stop(root, signal.SIGKILL, lambda: newest(stage) > 0)
    assert code == -signal.SIGKILL, said
    killed_at = newest(stage)

    code, said = stop(root, number, lambda: newest(stage) > killed_at)
    assert code == 75, said
    assert f"{label}: goes on from step {killed_at} of " in said
    stopped_at = newest(stage)
    assert f"{label}: stopped at step {stopped_at} of " in said and "Traceback" not in said

    code, said = end(start(root))
    assert code == 0, said
    assert f"{label}: goes on from step {stopped_at} of " in said
    assert outcome(stage) == outcome(straight / "runs" / "tiny" / label)
    assert not (stage / "resume").exists()
    cost = json.loads((stage / "cost.json").read_text())
    assert sum(cost["phases"].values()) == pytest.approx(cost["total"], rel=0.05)
    assert 0 < cost["lost_to_interruptions"] < cost["total"]
