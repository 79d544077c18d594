"""Recipes with ``model.lora``, run whole: what is saved is what was trained, and what cannot work
is said before SFT trains."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from rlhf_compare.errors import RecipeError
from rlhf_compare.pipeline import Pipeline
from rlhf_compare.recipe import load_recipe
from tests.micro_recipe import RECIPE

RATES = [f"{method}.learning_rate=5e-2" for method in ("ppo", "dpo")]


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    """As the pipeline's tests have it, but with TRL's own default of checkpointed activations."""
    path = tmp_path / "micro.yaml"
    path.write_text(RECIPE.replace("  gradient_checkpointing: false\n", ""))
    return path


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = model.eval()(torch.tensor([[40, 41, 42, 43]])).logits
    return result


def start(recipe_file: Path, lora: str, *more: str) -> Pipeline:
    recipe = load_recipe(recipe_file, [f"model.lora={lora}", *RATES, *more])
    pipeline = Pipeline(recipe, recipe_file.parent / "runs", say=lambda _: None)
    pipeline.check()
    return pipeline


@pytest.mark.slow
@pytest.mark.parametrize(
    ("targets", "methods"),
    [("[c_attn, wte]", ("ppo", "dpo")), ("[lm_head]", ("ppo",)), ("[lm_head, wte]", ("ppo",))],
)
def test_saved_policies_of_a_tied_model_are_the_trained_ones(
    recipe_file: Path, targets: str, methods: tuple[str, ...]
) -> None:
    """Trained is what PEFT makes of the SFT model and the adapter that was saved beside."""
    pipeline = start(recipe_file, f"{{r: 4, lora_alpha: 8, target_modules: {targets}}}")
    pipeline.compare(("sft", *methods), (0,), with_reward="ppo" in methods)
    runs = pipeline.root
    base = logits(AutoModelForCausalLM.from_pretrained(runs / "sft" / "model"))
    for method in methods:
        model = runs / f"{method}-0" / "model"
        sft = AutoModelForCausalLM.from_pretrained(runs / "sft" / "model")
        trained = logits(PeftModel.from_pretrained(sft, model / "adapter"))
        saved = logits(AutoModelForCausalLM.from_pretrained(model))
        torch.testing.assert_close(saved, trained, rtol=0, atol=1e-5)
        assert float((saved - base).abs().max()) > 1e-3


@pytest.mark.parametrize(
    ("lora", "why"),
    [
        ("{r: 4, init_lora_weights: pissa}", r"^model\.lora\.init_lora_weights: must be True"),
        ("{r: 4, init_lora_weights: olora}", r"^model\.lora\.init_lora_weights: must be True"),
        ("{r: 4, bias: all}", r"^model\.lora\.bias: must be none"),
        ("{r: 4, target_modules: [c_atn]}", r"^model\.lora\.target_modules: .*c_atn"),
    ],
)
def test_adapters_that_cannot_work_are_refused_before_anything_trains(
    recipe_file: Path, lora: str, why: str
) -> None:
    with pytest.raises(RecipeError, match=why) as info:
        start(recipe_file, lora)
    assert "\n" not in str(info.value)
    assert not (recipe_file.parent / "runs").exists()


def test_an_adapter_on_the_head_is_refused_for_dpo_before_sft(recipe_file: Path) -> None:
    pipeline = start(recipe_file, "{r: 4, target_modules: [lm_head]}")
    with pytest.raises(RecipeError, match="lm_head: dpo reads the head's own weights"):
        pipeline.compare(("sft", "dpo"), (0,), with_reward=False)
    assert not (pipeline.root / "sft").exists()


@pytest.mark.parametrize("field", ["dataset_num_proc: 2", "world_size: 2", "sft_model_path: x"])
def test_a_recipe_takes_no_field_that_nothing_reads(recipe_file: Path, field: str) -> None:
    name, value = field.split(": ")
    with pytest.raises(RecipeError, match=f"ppo.{name}: unknown key"):
        load_recipe(recipe_file, [f"ppo.{name}={value}"])
