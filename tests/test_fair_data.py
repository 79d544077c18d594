"""All methods learn from the same rows, and what they learned from is counted where it was."""

from pathlib import Path
from typing import Any

import pytest

from rlhf_compare.evaluation.stage import read_samples
from rlhf_compare.pipeline import Pipeline
from rlhf_compare.recipe import load_recipe
from tests.micro_recipe import RECIPE, collected

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fair")


@pytest.fixture(scope="module")
def recipe_file(root: Path) -> Path:
    path = root / "micro.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def first(recipe_file: Path, root: Path) -> tuple[dict[str, Any], list[str]]:
    lines: list[str] = []
    pipeline = Pipeline(load_recipe(recipe_file, ()), root / "runs", say=lines.append)
    return collected(pipeline, pipeline.compare(("sft", "ppo", "dpo"), (0,))), lines


def test_the_ledger_holds_what_each_stage_counted(
    first: tuple[dict[str, Any], list[str]], root: Path
) -> None:
    """PPO's reward model, SFT and DPO learn from the same rows: all that are not the judge's."""
    learned = first[0]["provenance"]["learned"]
    rows = first[0]["provenance"]["ledger"]["train_rows"]
    stages = {"sft", *(f"{s}-{seed}" for s in ("reward", "judge", "ppo", "dpo") for seed in (0,))}
    assert set(learned) == stages
    same = [learned[stage]["at_hand"] for stage in ("sft", "reward-0", "dpo-0", "ppo-0")]
    assert same == [rows] * 4
    assert learned["sft"] == {
        "unit": "demonstrations",
        "at_hand": rows,
        "used": rows,
        "passes": 1.0,
    }
    assert learned["ppo-0"]["used"] == min(rows, 32)
    assert learned["ppo-0"]["passes"] == pytest.approx(32 / rows, abs=0.5 / rows)


def test_other_prompts_to_measure_on_train_nothing_again(
    first: tuple[dict[str, Any], list[str]], recipe_file: Path, root: Path
) -> None:
    lines: list[str] = []
    recipe = load_recipe(recipe_file, ["evaluation.prompts=tuning"])
    pipeline = Pipeline(recipe, root / "runs", say=lines.append)
    stage = pipeline.evaluate("dpo", 0)
    trained = ("sft:", "reward-0:", "judge-0:", "dpo-0:")
    assert all(any(line.startswith(s) and "kept" in line for line in lines) for s in trained)
    shown = {prompt for prompt, _ in read_samples(stage.directory)[1:]}
    assert shown and not shown & {sample["prompt"] for sample in first[0]["samples"]}
