"""Policies that are PEFT models already: any name, several adapters, some that cannot come off."""

import copy
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import (
    AutoPeftModelForCausalLM,
    LoraConfig,
    PeftModel,
    get_peft_model,
)
from transformers import (
    GPT2LMHeadModel,
)

from tests.ppo.conftest import MakeTrainer
from tests.ppo.helpers import rows


def lora(**fields: Any) -> LoraConfig:
    return LoraConfig(r=4, lora_alpha=8, target_modules=["c_attn"], fan_in_fan_out=True, **fields)


@pytest.mark.parametrize("name", ["default", "value", "lora_x"])
def test_peft_model_with_any_name_trains(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel, tmp_path: Path, name: str
) -> None:
    policy.save_pretrained(tmp_path / "base")
    fresh = get_peft_model(GPT2LMHeadModel.from_pretrained(tmp_path / "base"), lora())
    fresh.save_pretrained(tmp_path / "adapter")
    loaded = PeftModel.from_pretrained(
        GPT2LMHeadModel.from_pretrained(tmp_path / "base"), tmp_path / "adapter", adapter_name=name
    )  # frozen, as PEFT loads it
    trainer = make_trainer({"value_learning_rate": 1e-2}, model=loaded)
    before = [p.clone() for p in trainer.adapters.parameters_of(name)]
    trainer.train()
    after = trainer.adapters.parameters_of(name)
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    trainer.save_model(str(tmp_path / "out"))
    again, ids = (
        AutoPeftModelForCausalLM.from_pretrained(tmp_path / "out"),
        torch.tensor([[40, 41]]),
    )
    with torch.no_grad():
        expected = trainer.policy.eval()(ids).logits  # its GELU is torch's, see fuse_activations
        torch.testing.assert_close(again.eval()(ids).logits, expected, rtol=0, atol=1e-5)


def test_which_of_several_adapters_trains_and_which_is_the_reference(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel
) -> None:
    model = get_peft_model(policy, lora(), adapter_name="a")
    model.add_adapter("b", lora())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".b." in name:
                parameter.normal_(std=0.1)
    with pytest.raises(ValueError, match="adapters a, b: name the one that trains"):
        make_trainer(model=model)
    with pytest.raises(ValueError, match="model_adapter_name: 'c' is not among"):
        make_trainer({"model_adapter_name": "c"}, model=model)
    trainer = make_trainer({"model_adapter_name": "a", "ref_adapter_name": "b"}, model=model)
    frozen = [p.clone() for p in trainer.adapters.parameters_of("b")]
    reference = trainer.collector.reference
    with reference.inside(), torch.no_grad():
        ids = torch.tensor([[40, 41, 42]])
        judged = reference.model.get_base_model()(ids).logits
    model.set_adapter("b")
    with torch.no_grad():
        assert torch.equal(model.eval()(ids).logits, judged)
    model.set_adapter("a")
    trainer.adapters.train("a")
    trainer.train()
    after = trainer.adapters.parameters_of("b")
    assert all(torch.equal(x, y) for x, y in zip(frozen, after, strict=True))


@pytest.mark.parametrize(
    "fields",
    [
        {"bias": "all"},
        {"modules_to_save": ["ln_f"]},
        {"trainable_token_indices": [3]},
        {"init_lora_weights": "olora"},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["policy", "default"])
def test_peft_model_whose_reference_would_train_along_is_refused(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel, fields: dict[str, Any], name: str
) -> None:
    model = get_peft_model(policy, lora(**fields), adapter_name=name)
    with pytest.raises(ValueError, match=next(iter(fields))):
        make_trainer(model=model)


def test_unfrozen_base_under_adapters_is_refused(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel
) -> None:
    model = get_peft_model(policy, lora())
    policy.transformer.ln_f.weight.requires_grad_(True)
    with pytest.raises(ValueError, match="adapter default: what trains would change the model"):
        make_trainer(model=model)


def test_dropout_of_adapters_is_off_and_said(
    make_trainer: MakeTrainer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        trainer = make_trainer(
            {"num_ppo_epochs": 1, "num_mini_batches": 1}, peft_config=lora(lora_dropout=0.05)
        )
    assert sum("lora_dropout: 0.05 is off" in r.message for r in caplog.records) == 1
    trainer.train()
    assert rows(trainer)[0]["val/ratio"] == 1.0 and rows(trainer)[0]["objective/kl"] == 0.0


def test_a_trained_adapter_is_taken_and_the_reference_named(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel, caplog: pytest.LogCaptureFixture
) -> None:
    model = get_peft_model(policy, lora())
    with torch.no_grad():
        for parameter in (p for p in model.parameters() if p.requires_grad):
            parameter.normal_(std=0.1)
    with caplog.at_level(logging.WARNING):
        make_trainer(model=model)
    assert "the reference is the base without it" in caplog.text


def test_how_a_trained_adapter_once_began_is_no_matter(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel, tmp_path: Path
) -> None:
    """``init_lora_weights=False`` is refused for a new adapter, whose policy would not begin at its
    reference; one from disk is what was trained."""
    start = copy.deepcopy(policy)
    get_peft_model(policy, lora(init_lora_weights=False)).save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(copy.deepcopy(start), tmp_path, is_trainable=True)
    loaded.load_adapter(str(tmp_path), adapter_name="reference")
    trainer = make_trainer(
        {"model_adapter_name": "default", "ref_adapter_name": "reference"}, model=loaded
    )
    trainer.train()
    assert rows(trainer)[0]["objective/kl"] == 0.0
    with pytest.raises(ValueError, match="init_lora_weights"):
        make_trainer(model=start, peft_config=lora(init_lora_weights=False))
