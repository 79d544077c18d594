"""What a model needs to be trained and saved is found, or made, where it is loaded."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from rlhf_compare.errors import RecipeError
from rlhf_compare.models.fit import (
    fit_generation_config,
    fit_tokenizer,
    float32_where_trained,
)
from rlhf_compare.models.policy import load_policy
from rlhf_compare.ppo.fitting import safe_pad_id

from .families import LLAMA_3, byte_level

SAMPLING = {
    "temperature": 0.7, "top_p": 0.8, "top_k": 20, "min_p": 0.05, "typical_p": 0.9,
    "epsilon_cutoff": 3e-4, "eta_cutoff": 3e-4, "top_h": 0.5,
}  # fmt: skip
USELESS: list[dict[str, Any]] = [
    {"early_stopping": True},
    {"length_penalty": 2.0},
    {"output_scores": True},
    {"use_cache": False, "cache_implementation": "static"},
    {"pad_token_id": -1},
]


def settings_of(policy: GPT2LMHeadModel, **values: Any) -> GenerationConfig:
    """``policy`` with generation settings as a file holds them, then changed by training."""
    policy.generation_config = GenerationConfig(**values)
    fit_generation_config(policy, "here")
    policy.generation_config.bos_token_id = 3  # what a Trainer's alignment does
    return policy.generation_config


@pytest.mark.parametrize("name", SAMPLING)
def test_a_sampling_field_switches_sampling_on(
    policy: GPT2LMHeadModel, tmp_path: Path, name: str
) -> None:
    settings = settings_of(policy, **{name: SAMPLING[name]})
    assert settings.do_sample is True and getattr(settings, name) == SAMPLING[name]
    policy.save_pretrained(tmp_path)
    assert getattr(GenerationConfig.from_pretrained(tmp_path), name) == SAMPLING[name]


@pytest.mark.parametrize("values", USELESS)
def test_a_setting_without_effect_is_left_out(
    policy: GPT2LMHeadModel, tmp_path: Path, values: dict[str, Any]
) -> None:
    assert not settings_of(policy, **values).do_sample
    policy.save_pretrained(tmp_path)


@pytest.mark.parametrize("said", [None, False])
def test_a_temperature_of_zero_means_greedy(
    policy: GPT2LMHeadModel, tmp_path: Path, said: bool | None
) -> None:
    """transformers refuses to sample at temperature 0, and answers greedily without sampling."""
    settings = settings_of(policy, temperature=0.0, top_p=0.9, do_sample=said)
    assert not settings.do_sample and settings.temperature is None
    policy.save_pretrained(tmp_path)
    saved, ids = AutoModelForCausalLM.from_pretrained(tmp_path), torch.tensor([[5, 6, 7]])
    answer = saved.generate(ids, max_new_tokens=1)
    assert int(answer[0, -1]) == int(policy.eval()(ids).logits[0, -1].argmax())


def test_settings_that_nobody_can_read_are_named(policy: GPT2LMHeadModel, tmp_path: Path) -> None:
    policy.save_pretrained(tmp_path)
    path = tmp_path / "generation_config.json"
    path.write_text('{"num_return_sequences": 3}')
    with pytest.raises(RecipeError, match=r"settings of .*num_return_sequences.*mend its gener"):
        load_policy(tmp_path)


def test_settings_that_contradict_each_other_are_refused(policy: GPT2LMHeadModel) -> None:
    policy.generation_config = GenerationConfig()
    policy.generation_config.num_beams, policy.generation_config.num_return_sequences = 2, 3
    with pytest.raises(RecipeError, match=r"settings of here .*num_return_sequences.*mend its"):
        fit_generation_config(policy, "here")


def test_settings_in_the_model_configuration_move(policy: GPT2LMHeadModel, tmp_path: Path) -> None:
    policy.save_pretrained(tmp_path / "start")
    path = tmp_path / "start" / "config.json"
    path.write_text(path.read_text().replace("{", '{\n "temperature": 0.5,\n "top_k": 7,', 1))
    (tmp_path / "start" / "generation_config.json").unlink()  # as old models are published
    loaded = load_policy(tmp_path / "start")
    loaded.generation_config.bos_token_id = 3
    loaded.save_pretrained(tmp_path / "saved")
    kept = AutoModelForCausalLM.from_pretrained(tmp_path / "saved").generation_config
    assert (kept.do_sample, kept.temperature, kept.top_k) == (True, 0.5, 7)


# --- token ids


def test_an_id_outside_the_embedding_is_refused_only_where_a_text_can_hold_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tokenizer = byte_level(chat_template=LLAMA_3)
    rows = len(tokenizer)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=rows, n_layer=1, n_head=2, n_embd=8))
    fit_tokenizer(tokenizer, model, "here")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|image|>"]})
    fit_tokenizer(tokenizer, model, "here")  # nothing writes it, and typed it is text
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    assert safe_pad_id(tokenizer, model) == tokenizer.eos_token_id
    with caplog.at_level(logging.WARNING):
        fit_tokenizer(tokenizer, model, "here")
    assert tokenizer.pad_token == tokenizer.eos_token and "'<pad>'" in caplog.text
    tokenizer.chat_template = LLAMA_3 + "<|image|>"
    with pytest.raises(RecipeError, match=rf"^model: .* here gives '<\|image\|>' the id {rows}"):
        fit_tokenizer(tokenizer, model, "here")
    tokenizer.chat_template = None
    tokenizer.add_special_tokens({"eos_token": "<|stop|>"})
    with pytest.raises(RecipeError, match=r"reward\.backbone: .*'<\|stop\|>'"):
        fit_tokenizer(tokenizer, model, "here", "reward.backbone")


def test_a_model_whose_own_pad_id_has_no_row_loads(
    tokenizer: PreTrainedTokenizerFast, policy: GPT2LMHeadModel, tmp_path: Path
) -> None:
    policy.save_pretrained(tmp_path)
    path, rows = tmp_path / "config.json", policy.config.vocab_size
    path.write_text(path.read_text().replace('"pad_token_id": 0', f'"pad_token_id": {rows}'))
    assert load_policy(tmp_path).num_parameters() == policy.num_parameters()
    assert safe_pad_id(PreTrainedTokenizerFast(tokenizer_object=tokenizer._tokenizer), policy) == 0


# --- precision


def steps(model: nn.Module, rate: float = 3e-6) -> float:
    """Share of the weights that four AdamW steps move."""
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    for _ in range(4):
        ids = torch.arange(1, 60).view(1, -1)
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    moved = [(p != old).float().mean() for p, old in zip(model.parameters(), before, strict=True)]
    return float(torch.stack(moved).mean())


def test_weights_that_train_in_half_precision_become_float32_and_move(
    policy: GPT2LMHeadModel, caplog: pytest.LogCaptureFixture
) -> None:
    policy.to(torch.bfloat16)
    assert steps(policy) < 0.5
    with caplog.at_level(logging.WARNING):
        assert float32_where_trained(policy) == policy.num_parameters()
        assert float32_where_trained(policy) == 0
    ours = [record for record in caplog.records if record.name.startswith("rlhf_compare")]
    assert len(ours) == 1 and "bfloat16" in ours[0].getMessage()
    assert policy.lm_head.weight is policy.transformer.wte.weight  # still tied
    assert steps(policy) > 0.9


def test_a_frozen_base_under_adapters_keeps_its_precision(policy: GPT2LMHeadModel) -> None:
    policy.to(torch.bfloat16)
    model = get_peft_model(policy, LoraConfig(task_type="CAUSAL_LM", r=2))
    for parameter in model.parameters():  # PEFT makes adapters float32 unless told not to
        if parameter.requires_grad:
            parameter.data = parameter.data.bfloat16()
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert float32_where_trained(model) == trained
    assert policy.transformer.wte.weight.dtype == torch.bfloat16
    model(input_ids=torch.arange(5).view(1, -1)).logits.sum().backward()


def test_a_model_that_is_frozen_in_part_has_one_precision(policy: GPT2LMHeadModel) -> None:
    policy.to(torch.float16)
    policy.transformer.wte.requires_grad_(False)
    assert 0 < float32_where_trained(policy) < policy.num_parameters()
    policy(input_ids=torch.arange(5).view(1, -1)).logits.sum().backward()


def test_a_frozen_model_is_left_alone(policy: GPT2LMHeadModel) -> None:
    assert float32_where_trained(policy.to(torch.bfloat16).requires_grad_(False)) == 0
    assert policy.dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_tables_that_are_not_saved_are_exact_after_the_cast(
    dtype: torch.dtype, tmp_path: Path
) -> None:
    """Rotary frequencies are computed where a model is loaded: rounded ones would be lost then."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    config = LlamaConfig(vocab_size=64, num_attention_heads=2, **sizes, initializer_range=0.3)
    model = LlamaForCausalLM(config).to(dtype)
    float32_where_trained(model)
    model.save_pretrained(tmp_path)
    again, ids = AutoModelForCausalLM.from_pretrained(tmp_path), torch.arange(60).unsqueeze(0)
    with torch.no_grad():
        assert torch.equal(again.eval()(ids).logits, model.eval()(ids).logits)
