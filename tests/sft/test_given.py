"""A start that is instruction-tuned already: nothing trains it, and no page says otherwise."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2LMHeadModel

from rlhf_compare.errors import RecipeError
from rlhf_compare.pipeline import Pipeline
from rlhf_compare.recipe import load_recipe
from rlhf_compare.reporting.caveats import caveats
from rlhf_compare.reporting.figures import DRAWINGS
from rlhf_compare.reporting.held_equal import held_equal_table
from rlhf_compare.reporting.results import parse_results
from rlhf_compare.reporting.tables import ledger_table
from rlhf_compare.runs.files import read_json
from tests.conftest import small_config
from tests.micro_recipe import collected

RECIPE = """
name: given
data:
  {source: embedded, max_rows: 100, eval_share: 0.3, max_prompt_length: 96, max_length: 200,
   feeds: [rankings, prompts]}
model: {path: start}
sft: {given: true}
dpo: {max_steps: 1, per_device_train_batch_size: 2, gradient_checkpointing: false, beta: 0.1}
evaluation:
  {max_prompts: 4, samples_per_prompt: 1, max_new_tokens: 16, questions: []}
tracking: {wandb: disabled}
"""
NEW_WEIGHTS = "name: r\nmodel: {config: {model_type: gpt2}}\nsft: {given: true}\n"


@pytest.fixture
def recipe_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: Any) -> Path:
    monkeypatch.chdir(tmp_path)
    config = small_config(tokenizer)
    config.n_positions = 256
    policy = GPT2LMHeadModel(config)
    policy.save_pretrained(tmp_path / "start")
    tokenizer.save_pretrained(tmp_path / "start")
    path = tmp_path / "given.yaml"
    path.write_text(RECIPE)
    return path


def test_new_weights_are_not_given(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(NEW_WEIGHTS)
    with pytest.raises(RecipeError, match=r"sft\.given: true, but model\.config draws new weights"):
        load_recipe(path)
    assert not load_recipe(path, ["sft.given=false"]).sft_is_given


def test_settings_of_a_training_are_refused_beside_given(recipe_file: Path) -> None:
    with pytest.raises(RecipeError) as error:
        load_recipe(recipe_file, ["sft.learning_rate=1e-4", "sft.max_steps=3"])
    assert "sft.given: the start is not trained, so learning_rate, max_steps would do nothing" in (
        str(error.value)
    )
    assert "sft={given: true}" in str(error.value)


def test_no_demonstrations_are_needed_and_rows_for_the_methods_are(recipe_file: Path) -> None:
    recipe = load_recipe(recipe_file)
    assert recipe.feeds(("sft", "dpo")) == {"dpo": "rankings"}
    assert load_recipe(recipe_file, ["sft={}"]).feeds(("sft",)) == {"sft": "demonstrations"}
    assert recipe.label("sft") == "SFT (given)"


def test_the_dry_run_passes_and_writes_nothing(run: Any, recipe_file: Path, tmp_path: Path) -> None:
    outcome = run("compare", "--recipe", recipe_file, "--dry-run")
    assert outcome.code == 0, outcome.err
    assert "given: true" in outcome.out
    assert not (tmp_path / "runs").exists()


def test_the_start_is_the_model_that_was_given(recipe_file: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    pipeline = Pipeline(load_recipe(recipe_file), tmp_path / "runs", say=lines.append)
    pipeline.check()
    results = collected(pipeline, pipeline.compare(("sft", "dpo"), (0,), False))

    stage = tmp_path / "runs" / "given" / "sft"
    given, kept = (
        AutoModelForCausalLM.from_pretrained(folder).state_dict()
        for folder in (tmp_path / "start", stage / "model")
    )
    assert given.keys() == kept.keys()
    assert all(torch.equal(given[name], kept[name]) for name in given)
    assert set(read_json(stage / "cost.json")["phases"]) <= {"load", "save"}
    assert not (stage / "learned.json").exists() and not (stage / "metrics.jsonl").exists()
    assert results["provenance"]["learned"].keys() == {"dpo-0"}
    _no_page_says_that_it_was_trained(results)


def _no_page_says_that_it_was_trained(results: dict[str, Any]) -> None:
    parsed = parse_results(results)
    rows = {row[0]: row[1:] for row in ledger_table(parsed).rows}
    assert rows["what SFT trained on"] == ("given", "nothing was trained")
    assert "prompts for reward model and methods" in rows
    assert not any("demonstrations that" in name for name in rows)
    equal = {row[0]: row[1] for row in held_equal_table(parsed).rows}
    assert equal["SFT model that all start from, and the reference"] == "one, given"
    assert "rows that may teach the reward model and every method" in equal
    assert any("may have seen prompts that are held out" in one for one in caveats(parsed))
    assert parsed.methods["sft"].label == "SFT (given)"
    spent = next(one for one in DRAWINGS if one.name == "adoption_against_seconds")
    assert "SFT was given" in spent.caption_of(parsed)
