"""The whole comparison on a model of a few thousand weights: every stage, every file, once."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from rlhf_compare.errors import RecipeError
from rlhf_compare.pipeline import Pipeline
from rlhf_compare.recipe import load_recipe
from rlhf_compare.reporting.results import validate
from rlhf_compare.results import collect_results

RECIPE = """
name: micro
data: {source: embedded, max_rows: 150, eval_share: 0.3, max_prompt_length: 96, max_length: 200}
task: {sft_prefix_share: 0.5}
model:
  vocab_size: 320
  config: {model_type: gpt2, n_layer: 1, n_head: 2, n_embd: 16, n_positions: 256}
sft: {num_train_epochs: 1, per_device_train_batch_size: 16, gradient_checkpointing: false}
reward: {num_train_epochs: 1, per_device_train_batch_size: 16, gradient_checkpointing: false}
ppo:
  total_episodes: 32
  per_device_train_batch_size: 8
  gradient_accumulation_steps: 2
  num_mini_batches: 2
  num_ppo_epochs: 2
  response_length: 8
  logging_steps: 1
  center_scores_on: 16
dpo: {num_train_epochs: 1, per_device_train_batch_size: 16, gradient_checkpointing: false}
evaluation:
  {max_prompts: 6, samples_per_prompt: 2, max_new_tokens: 8, questions: ["What is a wasp?"]}
tracking: {wandb: disabled}
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compare")


@pytest.fixture(scope="module")
def recipe_file(root: Path) -> Path:
    path = root / "micro.yaml"
    path.write_text(RECIPE)
    return path


def run(recipe_file: Path, root: Path, *overrides: str) -> tuple[dict[str, Any], list[str]]:
    lines: list[str] = []
    pipeline = Pipeline(load_recipe(recipe_file, overrides), root / "runs", say=lines.append)
    pipeline.check()
    evaluations = pipeline.compare(("sft", "ppo", "dpo"), (0, 1))
    return collect_results(pipeline, evaluations, "test"), lines


@pytest.fixture(scope="module")
def first(recipe_file: Path, root: Path) -> tuple[dict[str, Any], list[str]]:
    return run(recipe_file, root)


def test_results_are_valid_and_hold_all_methods(first: tuple[dict[str, Any], list[str]]) -> None:
    results, _ = first
    validate(results)
    assert list(results["methods"]) == ["sft", "ppo", "dpo"]
    for name, method in results["methods"].items():
        assert method["runs"]["completed"] == 2, name
        assert method["adoption"]["exact"]["seeds"] == 2
        assert method["reward"]["proxy"] is not None
        assert method["reward"]["held_out"] is None  # not measured, so not there
    assert results["methods"]["sft"]["kl_to_reference"]["exact"]["mean"] == 0.0
    assert results["methods"]["ppo"]["kl_to_reference"]["exact"]["mean"] > 0.0


def test_every_path_pays_for_its_stages_and_phases_add_up(
    first: tuple[dict[str, Any], list[str]],
) -> None:
    results, _ = first
    paths = {"sft": ("sft",), "ppo": ("sft", "reward", "ppo"), "dpo": ("sft", "dpo")}
    for name, method in results["methods"].items():
        cost = method["cost"]["device_seconds"]
        assert tuple(cost["stages"]) == paths[name]
        stages = cost["stages"].values()
        assert cost["path_total"] == pytest.approx(sum(s["total"] for s in stages))
        for stage in stages:
            assert "evaluate" not in stage["phases"]
            assert sum(stage["phases"].values()) == pytest.approx(stage["total"], rel=0.05)
    phases = results["methods"]["ppo"]["cost"]["device_seconds"]["stages"]["ppo"]["phases"]
    assert {"load", "data", "generate", "score", "reference", "update", "save"} <= set(phases)
    assert (
        "reference"
        in results["methods"]["dpo"]["cost"]["device_seconds"]["stages"]["dpo"]["phases"]
    )


def test_methods_start_from_one_sft_model(
    first: tuple[dict[str, Any], list[str]], root: Path
) -> None:
    records = {
        stage: json.loads((root / "runs" / "micro" / stage / "stage.json").read_text())
        for stage in ("sft", "reward-0", "reward-1", "dpo-0", "ppo-0")
    }
    sft = {records[stage]["inputs"]["sft"] for stage in ("reward-0", "reward-1", "dpo-0")}
    assert len(sft) == 1
    assert not list((root / "runs" / "micro").glob("sft-*"))


def test_questions_that_are_shown_were_not_trained_on(
    first: tuple[dict[str, Any], list[str]], root: Path
) -> None:
    results, _ = first
    assert "What is a wasp?" in results["samples"][0]["prompt"]
    assert set(results["samples"][0]) == {"prompt", "held_out", "sft", "ppo", "dpo"}
    from rlhf_compare.data.store import DataDirectory

    trained = set(DataDirectory(root / "runs" / "micro" / "data").train()["prompt"])
    assert not trained & {sample["prompt"] for sample in results["samples"]}


def test_second_run_trains_nothing_and_says_the_same(
    first: tuple[dict[str, Any], list[str]], recipe_file: Path, root: Path
) -> None:
    again, lines = run(recipe_file, root)
    assert lines and all("kept" in line for line in lines)
    assert {**again, "provenance": 0} == {**first[0], "provenance": 0}


def test_changed_section_reruns_what_depends_on_it_and_nothing_else(
    first: tuple[dict[str, Any], list[str]], recipe_file: Path, root: Path
) -> None:
    _, lines = run(recipe_file, root, "dpo.beta=0.5")
    ran = sorted(line.split(":")[0] for line in lines if "running" in line)
    assert ran == ["dpo-0", "dpo-1", "evaluate-dpo-0", "evaluate-dpo-1"]
    run(recipe_file, root)  # leaves the folder as the other tests expect it


def test_every_model_loads_with_plain_transformers(
    first: tuple[dict[str, Any], list[str]], root: Path
) -> None:
    for stage in ("sft", "ppo-0", "dpo-0"):
        AutoModelForCausalLM.from_pretrained(root / "runs" / "micro" / stage / "model")


def test_metrics_are_on_disk(first: tuple[dict[str, Any], list[str]], root: Path) -> None:
    rows = [
        json.loads(line)
        for line in (root / "runs" / "micro" / "ppo-0" / "metrics.jsonl").read_text().splitlines()
    ]
    assert [row["step"] for row in rows if "objective/kl" in row] == [1, 2]
    assert rows[0]["objective/kl"] == pytest.approx(0.0, abs=1e-5)
    assert rows[0]["objective/kl_exact"] == pytest.approx(0.0, abs=1e-5)


def test_lora_trains_adapters_on_the_same_sft_model(
    first: tuple[dict[str, Any], list[str]], recipe_file: Path, root: Path
) -> None:
    """Another run root, so that the folder of the other tests stays; SFT does not depend on it."""
    lines: list[str] = []
    recipe = load_recipe(recipe_file, ["model.lora={r: 4, lora_alpha: 8}"])
    pipeline = Pipeline(recipe, root / "lora", say=lines.append)
    pipeline.check()
    results = collect_results(pipeline, pipeline.compare(("sft", "ppo", "dpo"), (0,)), "test")
    validate(results)
    for method in ("ppo", "dpo"):
        assert results["methods"][method]["kl_to_reference"]["exact"]["mean"] > 0.0
        model = root / "lora" / "micro" / f"{method}-0" / "model"
        AutoModelForCausalLM.from_pretrained(model)
        assert list((model / "adapter").rglob("adapter_model.safetensors"))
    assert results["methods"]["ppo"]["reward"]["proxy"] is not None
    hashes = [
        json.loads((root / runs / "micro" / "sft" / "done.json").read_text())["inputs_hash"]
        for runs in ("lora", "runs")
    ]
    assert hashes[0] == hashes[1]


def test_unknown_lora_field_is_refused_before_anything_trains(
    recipe_file: Path, root: Path
) -> None:
    recipe = load_recipe(recipe_file, ["model.lora={rank: 4}"])
    with pytest.raises(RecipeError, match="rank"):
        Pipeline(recipe, root / "refused").check()
