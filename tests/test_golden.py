"""Losses of every stage on a model of a few thousand weights, as they were when last looked at.

A change of code that is meant to change no number changes none here, to the last bit. Processors
add in different orders, so elsewhere than on the processor of the record only 3 digits are held.

    python -m tests.test_golden      writes the record anew; say in the commit why numbers changed
"""

import json
import platform
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch

from rlhf_compare.pipeline import Pipeline
from rlhf_compare.recipe import load_recipe

from .micro_recipe import RECIPE

_RECORD = Path(__file__).parent / "golden" / "losses.json"
_BASELINE = """
sft_on_chosen: {num_train_epochs: 1, per_device_train_batch_size: 16, gradient_checkpointing: false}
"""
_KEPT = ("loss", "grad_norm", "accuracy", "rewards/margins", "objective/kl", "objective/scores")
_LOGGED = [f"{stage}.logging_steps=1" for stage in ("sft", "reward", "ppo", "dpo", "sft_on_chosen")]


def _machine() -> str:
    """What decides the last bits: the processor's kind and the torch that adds."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    facts = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    cpu = " ".join(
        facts.get(name, "?") for name in ("model name", "cpu family", "model", "stepping")
    )
    able = torch.backends.cpu.get_cpu_capability()
    return f"{cpu}, {platform.machine()}, {able}, torch {torch.__version__.split('+')[0]}"


def _losses(root: Path) -> dict[str, list[dict[str, float]]]:
    """Every logged row of every stage, by stage."""
    path = root / "micro.yaml"
    path.write_text(RECIPE + _BASELINE)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the order of sums depends on it
    try:
        pipeline = Pipeline(load_recipe(path, _LOGGED), root / "runs", say=lambda _: None)
        stages = [pipeline.sft(), pipeline.reward(0)]
        stages += [pipeline.method(name, 0) for name in ("ppo", "dpo", "sft_on_chosen")]
    finally:
        torch.set_num_threads(threads)
    return {stage.directory.path.name: _rows(stage.directory.path) for stage in stages}


def _rows(directory: Path) -> list[dict[str, float]]:
    rows: list[dict[str, Any]] = [
        json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()
    ]
    kept = [{key: row[key] for key in _KEPT if key in row} for row in rows]
    return [row for row in kept if row]


def test_losses_are_those_of_the_record(tmp_path: Path) -> None:
    record = json.loads(_RECORD.read_text())
    found = _losses(tmp_path)
    assert found.keys() == record["losses"].keys()
    for stage, rows in record["losses"].items():
        assert len(found[stage]) == len(rows), stage
        for step, (now, then) in enumerate(zip(found[stage], rows, strict=True)):
            where = f"{stage}, row {step}"
            if record["machine"] == _machine():
                assert now == then, where
            else:
                assert now == pytest.approx(then, rel=1e-3, abs=1e-4), where


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        content = {"machine": _machine(), "losses": _losses(Path(folder))}
    _RECORD.write_text(json.dumps(content, indent=1) + "\n")
