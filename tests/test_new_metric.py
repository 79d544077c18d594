"""A metric is a row of the table and the line that measures it: all else follows."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .micro_recipe import RECIPE

_ROOT = Path(__file__).resolve().parents[1]

TABLE_BEGINS = "METRICS: tuple[Metric, ...] = (\n"
ROW = """    _metric(
        "filled", "room used", "share", "lower", "share",
        "tokens of a sampled response / the longest that it may be.",
        compared=True, probe="filled",
    ),
"""
LENGTHS = '        rows["length"], rows["eos_rate"] = lengths, responses.ended.float()\n'
LINE = '        rows["filled"] = lengths / self.config.max_new_tokens\n'


def insert(file: Path, after: str, text: str) -> None:
    written = file.read_text(encoding="utf-8")
    assert written.count(after) == 1, f"{file.name} no longer holds {after!r}"
    file.write_text(written.replace(after, after + text), encoding="utf-8")


def run(package: Path, work: Path, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(package)}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=work, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_new_metric_is_a_row_and_a_line(tmp_path: Path) -> None:
    """It appears in schema, results, comparisons, tables, glossary and the log of the probe."""
    package, work = tmp_path / "package", tmp_path / "work"
    shutil.copytree(_ROOT / "rlhf_compare", package / "rlhf_compare")
    work.mkdir()
    insert(package / "rlhf_compare" / "metrics.py", TABLE_BEGINS, ROW)
    insert(package / "rlhf_compare" / "evaluation" / "measure.py", LENGTHS, LINE)

    run(package, work, "rlhf_compare.reporting.schema")
    schema = package / "rlhf_compare" / "reporting" / "schema.json"
    parts = json.loads(schema.read_text(encoding="utf-8"))["$defs"]
    assert parts["MethodResult"]["properties"]["filled"]["description"] == "room used, share"
    assert "filled" in parts["Point"]["properties"]

    recipe = work / "micro.yaml"
    recipe.write_text(RECIPE)
    options = ("--recipe", str(recipe), "ppo=null", "reward=null", "evaluation.during_training=2")
    said = run(package, work, "rlhf_compare.cli", "compare", *options)
    assert "room used" in said

    results = json.loads((work / "reports" / "micro" / "results.json").read_text(encoding="utf-8"))
    for method in results["methods"].values():
        length = method["length"]["mean"]
        assert method["filled"]["mean"] == pytest.approx(length / 8)  # of at most 8 tokens
        assert method["filled"]["n"] == method["length"]["n"]
    compared = {row["metric"]: row["difference"] for row in results["comparisons"]}
    assert compared["filled"]["mean"] == pytest.approx(compared["length"]["mean"] / 8)

    log = work / "runs" / "micro" / "dpo-0" / "metrics.jsonl"
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    logged = [row["eval_filled"] for row in rows if "eval_filled" in row]
    (training,) = results["methods"]["dpo"]["training"]
    probed = [point["filled"] for point in training["points"] if point["step"] > 0]
    assert logged and probed == logged

    page = (work / "reports" / "micro" / "report.md").read_text(encoding="utf-8")
    assert "| room used | share | lower | 0." in page or "| room used | share | lower | 1." in page
    assert "| room used | share | DPO - SFT |" in page
    assert "- **room used** (share): tokens of a sampled response / the longest" in page
