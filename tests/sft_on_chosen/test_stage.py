"""The baseline that imitates the chosen side of the pairs, as a column of a comparison."""

from pathlib import Path

import pytest
from datasets import Dataset

from rlhf_compare.collect import collect_results
from rlhf_compare.data.views import pairs_view
from rlhf_compare.errors import RecipeError
from rlhf_compare.pipeline import Pipeline
from rlhf_compare.preflight import check_recipe
from rlhf_compare.recipe import load_recipe
from rlhf_compare.reporting.comparisons import main_pair
from rlhf_compare.reporting.results import as_data
from rlhf_compare.reporting.schema import Results
from rlhf_compare.sft_on_chosen.stage import chosen_view
from tests.micro_recipe import SHORT

_TRAINS = "{max_steps: 4, per_device_train_batch_size: 8, gradient_checkpointing: false}"
RECIPE = f"""{SHORT}dpo: {_TRAINS}
sft_on_chosen: {_TRAINS[:-1]}, learning_rate: 1e-2}}
evaluation:
  {{max_prompts: 6, samples_per_prompt: 1, max_new_tokens: 8, during_training: 2, probe_prompts: 4}}
"""


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("baseline") / "micro.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def results(recipe_file: Path) -> Results:
    recipe = load_recipe(recipe_file)
    pipeline = Pipeline(recipe, recipe_file.parent / "runs", say=lambda _: None)
    pipeline.check()
    return collect_results(pipeline.finished(pipeline.compare(recipe.methods, (0,))), "test")


def test_it_learns_from_the_chosen_side_of_the_same_pairs() -> None:
    rows = Dataset.from_dict(
        {
            "feeds": [["rankings"]] * 2,
            "prompt_ids": [[1, 2], [3]],
            "response_ids": [[[10], [11, 12], [13]], [[20], [21]]],
            "scores": [[0.0, 2.0, 1.0], [5.0, 4.0]],
        }
    )
    best = chosen_view(rows, "best_worst")
    assert best["input_ids"] == [[1, 2, 11, 12], [3, 20]]
    assert best["completion_mask"] == [[0, 0, 1, 1], [0, 1]]
    for rule in ("best_worst", "adjacent", "all"):
        pairs = pairs_view(rows, rule)
        expected = [p + c for p, c in zip(pairs["prompt_ids"], pairs["chosen_ids"], strict=True)]
        assert chosen_view(rows, rule)["input_ids"] == expected


def test_it_is_a_column_with_the_costs_of_its_path_and_no_side_of_the_pair(
    results: Results,
) -> None:
    baseline = as_data(results)["methods"]["sft_on_chosen"]
    stages = baseline["cost"]["device_seconds"]["stages"]
    assert tuple(stages) == ("sft", "sft_on_chosen")
    assert "evaluate" not in stages["sft_on_chosen"]["phases"]
    assert baseline["cost"]["tokens"]["trained"] > 0
    assert baseline["kl_to_reference"]["exact"]["mean"] > 0.0
    assert baseline["label"] == "SFT on chosen" and baseline["baseline"] is True
    points = baseline["training"][0]["points"]
    assert [point["step"] for point in points] == [0, 1, 4]  # 0: the start
    assert all(point["held_out_loss"] > 0 for point in points[1:])
    assert main_pair(results) is None  # one method and a yardstick are no pair


def test_what_would_train_on_prompts_is_refused(recipe_file: Path) -> None:
    recipe = load_recipe(recipe_file, ["sft_on_chosen.completion_only_loss=false"])
    with pytest.raises(RecipeError, match="sft_on_chosen: completion_only_loss: false is refused"):
        check_recipe(recipe, "out")


def test_adapters_train_in_place_of_the_weights(recipe_file: Path) -> None:
    recipe = load_recipe(recipe_file, ["model.lora={r: 2, target_modules: [c_attn]}"])
    pipeline = Pipeline(recipe, recipe_file.parent / "runs", say=lambda _: None)
    pipeline.check()
    stage = pipeline.method("sft_on_chosen", 0)
    assert (stage.directory.path / "model" / "model.safetensors").is_file()
    assert list(stage.directory.path.rglob("adapter_config.json"))
