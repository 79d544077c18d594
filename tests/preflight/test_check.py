"""What a recipe and its models' configurations know fails before anything trains, in one line."""

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, GPT2Config, LlamaConfig

from rlhf_compare.errors import RecipeError
from rlhf_compare.preflight import check_recipe, check_rows, trials
from rlhf_compare.preflight.lora import head_faults
from rlhf_compare.preflight.models import position_limit_of_config
from rlhf_compare.recipe import Recipe, load_recipe

from .rows import data_with

TINY = Path(__file__).resolve().parents[2] / "recipes" / "tiny.yaml"
LORA = "model.lora={r: 4, lora_alpha: 8}"


def recipe_of(*overrides: str) -> Recipe:
    return load_recipe(TINY, overrides)


def fault_of(*overrides: str) -> str:
    with pytest.raises(RecipeError) as error:
        check_recipe(recipe_of(*overrides), "runs/tiny/check")
    return str(error.value)


def assert_refused(overrides: tuple[str, ...], *parts: str) -> None:
    fault = fault_of(*overrides)
    assert "\n" not in fault
    assert all(part in fault for part in parts), fault


def test_tiny_passes_fast_and_draws_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = recipe_of(LORA)
    monkeypatch.setattr(trials, "_tried", {})
    state, start = torch.random.get_rng_state(), time.process_time()
    check_recipe(recipe, "runs/tiny/check")
    assert time.process_time() - start < 5
    assert torch.equal(torch.random.get_rng_state(), state)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("model.config.n_embdd=130", ["model.config.n_embdd: unknown key", "did you mean n_embd?"]),
        ("model.config.qqq=1", ["model.config.qqq: unknown key of this model type"]),
        ("model.config.n_embd=130", ["model.config: ", "divisible"]),
        ("model.config.n_layer=two", ["model.config: ", "n_layer", "two"]),
        ("model.config.n_layer=-1", ["model.config: "]),
        ("model.config.activation_function=foo", ["model.config: ", "foo"]),
        (
            "model.config.model_type=gtp2",
            ["model.config.model_type", "'gtp2'", "did you mean gpt2"],
        ),
        ("model.config={model_type: t5}", ["model.config"]),
        (
            "model.config={model_type: llama, hidden_size: 32, num_attention_heads: 4, "
            "num_key_value_heads: 3, num_hidden_layers: 1, intermediate_size: 8}",
            ["model.config: its sizes do not fit"],
        ),
        (
            "reward.backbone={model_type: bert, hidden_sise: 32}",
            ["reward.backbone.hidden_sise: unknown key", "hidden_size"],
        ),
        (
            "reward.backbone={model_type: bert, hidden_size: 30, num_attention_heads: 4}",
            ["reward.backbone: ", "30", "4"],
        ),
    ],
)
def test_a_model_that_cannot_be_built(override: str, parts: list[str]) -> None:
    assert_refused((override,), *parts)


@pytest.mark.parametrize(
    ("lora", "parts"),
    [
        ("{r: 0}", ["model.lora.r: 0"]),
        ("{r: -2}", ["model.lora.r: -2"]),
        ("{r: x}", ["model.lora.r: 'x'"]),
        ("{lora_alpha: 0}", ["model.lora.lora_alpha: 0"]),
        ("{rank: 4}", ["model.lora.rank: unknown key; did you mean r?"]),
        ("{target_module: [c_attn]}", ["model.lora.target_module", "target_modules?"]),
        ("{target_modules: [q_proj]}", ["model.lora.target_modules", "q_proj", "c_attn"]),
        ("{target_modules: [c_attn, c_pro]}", ["target_modules", "'c_pro'", "c_proj"]),
        ("{init_lora_weights: foo}", ["model.lora.init_lora_weights: 'foo'", "gaussian"]),
        ("{layers_to_transform: [9]}", ["model.lora.layers_to_transform"]),
        ("{task_type: FOO}", ["model.lora", "FOO"]),
    ],
)
def test_adapters_that_cannot_be_put_on(lora: str, parts: list[str]) -> None:
    assert_refused((f"model.lora={lora}",), *parts)


@pytest.mark.parametrize(
    "lora", ["{r: 4, target_modules: all-linear}", "{r: 2, init_lora_weights: gaussian}"]
)
def test_adapters_that_can(lora: str) -> None:
    check_recipe(recipe_of(f"model.lora={lora}"), "x")


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (("dpo.optim=nope",), ["dpo", "nope"]),
        (("sft.optim=galore_adamw",), ["sft", "galore"]),
        (("ppo.lr_scheduler_type=cosin",), ["ppo", "cosin"]),
        (("sft.lr_scheduler_type=cosine_with_min_lr",), ["sft.lr_scheduler_type", "min_lr"]),
        (("sft.lr_scheduler_kwargs={nope: 1}",), ["sft.lr_scheduler", "nope"]),
        (("dpo.dataloader_prefetch_factor=2",), ["dpo: ", "prefetch_factor"]),
        (("dpo.loss_type=[nope]", "dpo.loss_weights=null"), ["dpo.loss_type: 'nope'", "sigmoid"]),
        (("dpo.loss_weights=[1.0, 2.0]",), ["dpo", "loss_weights"]),
        (("variants.dpo_low={method: dpo, settings: {optim: nope}}",), ["dpo_low", "nope"]),
        (("ppo.num_mini_batches=7",), ["ppo", "7 num_mini_batches"]),
        (("reward.use_liger_kernel=true",), ["reward.use_liger_kernel"]),
    ],
)
def test_settings_that_a_trainer_refuses_later(
    overrides: tuple[str, ...], parts: list[str]
) -> None:
    assert_refused(overrides, *parts)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU can")
def test_fp16_without_a_gpu() -> None:
    assert_refused(("sft.fp16=true",), "sft.fp16")


def test_checkpointing_and_adapters_go_together() -> None:
    for value in ("true", "false"):
        check_recipe(recipe_of(LORA, f"reward.gradient_checkpointing={value}"), "runs/tiny/check")


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("data.max_length=193", ["data.max_length = 193", "model.config.n_positions = 192"]),
        ("ppo.response_length=200", ["ppo.response_length = 264", "192"]),
        ("evaluation.max_new_tokens=190", ["evaluation.max_new_tokens = 254"]),
        (
            "reward.backbone={model_type: bert, max_position_embeddings: 64, "
            "hidden_size: 32, num_attention_heads: 2}",
            ["data.max_length = 128", "64 positions of reward.backbone"],
        ),
    ],
)
def test_lengths_are_held_against_positions(override: str, parts: list[str]) -> None:
    assert_refused((override,), *parts)


def test_a_saved_model_says_its_positions_without_its_weights(tmp_path: Path) -> None:
    config = GPT2Config(n_embd=16, n_head=2, n_layer=1, n_positions=64)
    config.save_pretrained(tmp_path)
    source = ("model.config=null", f"model.path={tmp_path}")
    assert "64" in fault_of(*source) and "data.max_length = 128" in fault_of(*source)
    fits = ("data.max_length=64", "data.max_prompt_length=30", "ppo.response_length=34")
    check_recipe(recipe_of(*source, *fits, "evaluation.max_new_tokens=34"), "x")
    lora = "model.lora={r: 4, target_modules: [q_proj]}"
    assert "model.lora.target_modules" in fault_of(
        *source, *fits, "evaluation.max_new_tokens=34", lora
    )


def test_adapters_that_could_not_be_folded_in(tmp_path: Path) -> None:
    """Llama's layers have no bias, so an adapter's cannot be saved in them."""
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    LlamaConfig(num_attention_heads=2, max_position_embeddings=512, **sizes).save_pretrained(
        tmp_path
    )
    source = ("model.config=null", f"model.path={tmp_path}")
    targets = "target_modules: [q_proj, lm_head]"
    refused = fault_of(*source, f"model.lora={{lora_bias: true, {targets}}}")
    assert refused.startswith("model.lora.lora_bias: ") and "merge" in refused
    for fields in ("use_dora: true", "use_rslora: true", "rank_pattern: {q_proj: 2}"):
        check_recipe(recipe_of(*source, f"model.lora={{{fields}, {targets}}}"), "x")


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    assert_refused(("model.config=null", f"model.path={tmp_path}/none"), "model.path", "none")


def test_faults_of_several_parts_come_together() -> None:
    fault = fault_of("dpo.optim=nope", "model.lora={r: 0}", "data.max_length=500")
    assert [part in fault for part in ("dpo", "model.lora.r", "data.max_length")] == [True] * 3
    assert fault.count("\n") == 2


def test_the_environment_is_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "foo")
    assert_refused((), "WANDB_MODE='foo'")


def test_roberta_counts_from_its_padding() -> None:
    config = AutoConfig.for_model("roberta", max_position_embeddings=514, pad_token_id=1)
    assert position_limit_of_config(config) == 512


def test_a_rollout_larger_than_the_prompts_is_known_before_sft(
    tmp_path: Path, tokenizer: Any
) -> None:
    recipe, few = recipe_of(), data_with(tmp_path / "few", tokenizer, 33, copies=4)
    with pytest.raises(RecipeError, match="ppo: 33 prompts are fewer than one rollout of 64"):
        check_rows(recipe, few, recipe.methods, "x")
    check_rows(recipe, few, ["sft", "dpo"], "x")
    check_rows(recipe, data_with(tmp_path / "enough", tokenizer, 64), recipe.methods, "x")


@pytest.mark.parametrize("targets", ["[lm_head]", '".*head"'])
def test_an_adapter_on_the_head_is_refused_where_dpo_trains(targets: str) -> None:
    (fault,) = head_faults(recipe_of(f"model.lora={{r: 4, target_modules: {targets}}}"), ["dpo"])
    assert fault.startswith("model.lora.target_modules: lm_head: dpo reads")
    assert head_faults(recipe_of("model.lora={r: 4, target_modules: [c_attn]}"), ["dpo"]) == []


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (("dpo.sync_ref_model=true",), ["dpo: ", "sync_ref_model", "precompute_ref_log_probs"]),
        ((LORA, "ppo.reference_ema=0.9"), ["ppo: reference_ema", "adapters"]),
        (("model.lora={r: 4, task_type: SEQ_CLS}",), ["modules_to_save"]),
        (("sft.save_strategy=best",), ["sft: ", "metric_for_best_model"]),
        (("sft.eval_strategy=epoch",), ["sft: ", "eval_dataset"]),
        (("reward.eval_strategy=epoch",), ["reward: ", "eval_dataset"]),
        (("sft.packing=true",), ["sft: ", "packing", "max_length"]),
        (("dpo.activation_offloading=true",), ["dpo: "]),
        (("reward.eval_on_start=true",), ["reward: ", "eval_dataset"]),
        (("reward.backbone=/nope",), ["reward.backbone: no folder '/nope'"]),
        (("reward.backbone=a/b/c",), ["reward.backbone: no folder 'a/b/c'"]),
    ],
)
def test_a_combination_that_a_trainer_refuses(overrides: tuple[str, ...], parts: list[str]) -> None:
    assert_refused(overrides, *parts)


@pytest.mark.parametrize(
    "override",
    [
        "sft.eos_token=</s>",  # of a tokenizer that is not here yet
        "ppo.stop_token_id=50256",
        "ppo.value_trunk=shared",
        "ppo.response_length=100",
        "reward.early_stopping_patience=2",
        "dpo.precompute_ref_log_probs=false",
        "dpo.loss_type=[bco_pair]",
        "model.lora={r: 4, target_modules: [c_fc], layers_to_transform: [1]}",
    ],
)
def test_what_only_the_recipes_own_model_can_answer_is_not_refused(override: str) -> None:
    more = ("dpo.loss_weights=[1.0]",) if "bco" in override else ()
    check_recipe(recipe_of(override, *more), "runs/tiny/check")


@pytest.mark.filterwarnings(
    "ignore:`pad_token` is deprecated:FutureWarning"
)  # TRL's, of the recipe
def test_tokens_and_models_of_the_hub_are_asked_for_before_sft(
    tmp_path: Path, tokenizer: Any, no_network: None
) -> None:
    data = data_with(tmp_path, tokenizer, 64)
    wrong = ("dpo.pad_token=nope", "sft.eos_token=nope", "reward.backbone=nobody/nothing")
    with pytest.raises(RecipeError) as error:
        check_rows(recipe_of(*wrong), data, ("sft", "ppo", "dpo"), "runs/tiny/check")
    faults = str(error.value).split("\n")
    starts = ("reward.backbone: 'nobody/nothing' cannot", "sft.eos_token: ", "dpo.pad_token: ")
    assert len(faults) == 3
    assert all(fault.startswith(start) for fault, start in zip(faults, starts, strict=True))
    check_rows(recipe_of(*wrong[:1]), data, ("sft", "ppo"), "runs/tiny/check")
