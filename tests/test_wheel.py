"""The wheel, alone in an empty directory: what a user who never sees the checkout has."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rlhf_compare.recipe_text.shipped import listing
from tests.micro_recipe import RECIPE

_ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.slow


def _run(*command: str | Path, directory: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``make release`` does, into a folder of the test's own."""
    trial = tmp_path_factory.mktemp("trial")
    said = _run(_ROOT / ".ci/release", sys.executable, trial / "dist", trial, directory=_ROOT)
    assert all(line in said.splitlines() for line in listing())
    return trial


def test_the_wheel_is_what_runs(trial: Path) -> None:
    code = "import rlhf_compare; print(rlhf_compare.__file__)"
    said = _run(trial / "venv/bin/python", "-c", code, directory=trial / "empty")
    assert Path(said.strip()).is_relative_to(trial / "venv")


def test_the_wheel_trains_measures_and_reports(trial: Path, tmp_path: Path) -> None:
    (tmp_path / "micro.yaml").write_text(RECIPE)
    command = ("compare", "--recipe", "micro.yaml")
    _run(trial / "venv/bin/rlhf-compare", *command, directory=tmp_path)
    results = json.loads((tmp_path / "reports/micro/results.json").read_text())
    assert set(results["methods"]) == {"sft", "ppo", "dpo"}
    assert (tmp_path / "reports/micro/index.html").stat().st_size > 10_000
