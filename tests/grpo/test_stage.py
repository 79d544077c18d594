"""GRPO as a column of a comparison."""

import json
from pathlib import Path
from typing import Any

import pytest

from rlhf_compare.collect import collect_results
from rlhf_compare.data.store import DataDirectory
from rlhf_compare.errors import RecipeError
from rlhf_compare.pipeline import Pipeline
from rlhf_compare.preflight import check_rows
from rlhf_compare.recipe import load_recipe
from rlhf_compare.reporting.results import as_data
from tests.micro_recipe import SHORT

RECIPE = f"""{SHORT}grpo:
  max_steps: 4
  per_device_train_batch_size: 8
  num_generations: 4
  max_completion_length: 8
  beta: 0.04
  learning_rate: 1e-3
  logging_steps: 1
evaluation:
  {{max_prompts: 6, samples_per_prompt: 1, max_new_tokens: 8, during_training: 2, probe_prompts: 4}}
"""


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("grpo") / "micro.yaml"
    path.write_text(RECIPE)
    return path


def compare(recipe_file: Path, *overrides: str) -> dict[str, Any]:
    recipe = load_recipe(recipe_file, overrides)
    pipeline = Pipeline(recipe, recipe_file.parent / "runs", say=lambda _: None)
    pipeline.check()
    return as_data(
        collect_results(pipeline.finished(pipeline.compare(recipe.methods, (0,))), "test")
    )


def test_it_is_a_column_with_the_costs_of_its_path(recipe_file: Path) -> None:
    results = compare(recipe_file)
    grpo = results["methods"]["grpo"]
    stages = grpo["cost"]["device_seconds"]["stages"]
    assert tuple(stages) == ("sft", "reward", "grpo")
    phases = stages["grpo"]["phases"]
    assert {"load", "data", "generate", "score", "reference", "update", "save"} <= set(phases)
    assert "evaluate" not in phases
    assert sum(phases.values()) == pytest.approx(stages["grpo"]["total"], rel=0.05)
    assert grpo["kl_to_reference"]["exact"]["mean"] > 0
    # 4 steps of 8 responses; what evaluations in between sample is not charged
    assert 0 < grpo["cost"]["tokens"]["generated"] <= 4 * 8 * 8
    # 8 responses a step
    points = [(point["step"], point["samples"]) for point in grpo["training"][0]["points"]]
    assert points == [(0, 0), (1, 8), (4, 32)]
    log = recipe_file.parent / "runs" / "micro" / "grpo-0" / "metrics.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert any("eval_reward" in row for row in rows) and any("kl" in row for row in rows)


def test_a_refusal_of_trl_comes_before_the_run(recipe_file: Path, tmp_path: Path) -> None:
    recipe = load_recipe(recipe_file, ["grpo.sync_ref_model=true", "grpo.beta=0"])
    with pytest.raises(RecipeError, match="grpo: You passed `sync_ref_model=True` while `beta=0"):
        Pipeline(recipe, tmp_path, say=lambda _: None).check()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("grpo.num_generations=3", r"grpo: generation_batch_size \(8\) must be divisible"),
        ("grpo.num_generations=1", r"grpo: GRPO requires at least 2 generations"),
        ("grpo.max_completion_length=null", r"grpo\.max_completion_length: .*got None"),
        ("grpo.max_completion_length=250", r"grpo\.max_completion_length = 346 is more than"),
        ("grpo.beta=-0.1", r"grpo\.beta: .*greater than or equal to 0"),
        ("grpo.use_vllm=true", r"grpo: use_vllm: True is refused: .*; leave it out"),
        (
            "grpo.reward_weights=[2]",
            r"grpo: reward_weights: \[2\.0\] is refused: there is one reward",
        ),
        ("grpo.loss_type=none_such", r"grpo: .*none_such"),
    ],
)
def test_bad_settings_are_named(
    recipe_file: Path, tmp_path: Path, override: str, message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        Pipeline(load_recipe(recipe_file, [override]), tmp_path, say=lambda _: None).check()


def test_adapters_go_through_the_whole_path(recipe_file: Path) -> None:
    results = compare(recipe_file, "name=lora", "model.lora={r: 4, target_modules: [c_attn]}")
    model = recipe_file.parent / "runs" / "lora" / "grpo-0" / "model"
    assert (model / "adapter").is_dir() and (model / "config.json").is_file()
    assert results["methods"]["grpo"]["runs"]["completed"] == 1


def test_a_round_that_the_prompts_cannot_fill_is_refused(recipe_file: Path) -> None:
    """TRL would train no step at all."""
    settings = ["grpo.per_device_train_batch_size=512", "grpo.num_generations=2"]
    recipe = load_recipe(recipe_file, settings)
    runs = recipe_file.parent / "runs"
    data = DataDirectory(Pipeline(recipe, runs, say=lambda _: None).data().directory.path)
    with pytest.raises(RecipeError, match=r"grpo: .* to each of 256 prompts, and there are \d+"):
        check_rows(recipe, data, ("grpo",), "")
