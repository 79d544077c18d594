"""DPO on adapters: the base with them off is the reference."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from transformers import GPT2LMHeadModel

from rlhf_compare.models.merging import save_merged
from tests.dpo.conftest import MakeDPO

# --- adapters


def lora(**fields: Any) -> LoraConfig:
    return LoraConfig(**{"r": 4, "lora_alpha": 8, "target_modules": ["c_attn"], **fields})


@pytest.mark.parametrize(
    "fields",
    [{"init_lora_weights": "pissa"}, {"bias": "all"}, {"modules_to_save": ["ln_f"]}],
    ids=str,
)
def test_adapters_whose_reference_is_not_the_start_are_refused(
    make_dpo: MakeDPO, fields: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        make_dpo(peft_config=lora(**fields))


def test_other_kinds_of_adapter_are_refused(make_dpo: MakeDPO, policy: GPT2LMHeadModel) -> None:
    config = PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM")
    with pytest.raises(TypeError, match="only low-rank adapters"):
        make_dpo(peft_config=config)
    with pytest.raises(TypeError, match="only low-rank adapters"):
        make_dpo(model=get_peft_model(policy, config))


@pytest.mark.parametrize("targets", [["wte"], ["wte", "c_attn"], "all-linear"], ids=str)
def test_saved_policy_with_adapters_is_the_trained_one(
    make_dpo: MakeDPO, policy: GPT2LMHeadModel, tmp_path: Path, targets: Any
) -> None:
    """The head of GPT-2 is its embedding: both would get what was learnt by one."""
    ids = torch.tensor([[40, 41, 42, 43]])
    policy.eval()
    with torch.no_grad():
        start = policy(ids).logits
    trainer = make_dpo({"learning_rate": 0.05}, peft_config=lora(target_modules=targets))
    trainer.train()
    with torch.no_grad():
        trained = trainer.model.eval()(ids).logits
    save_merged(trainer.model, tmp_path / "model")
    again = GPT2LMHeadModel.from_pretrained(tmp_path / "model").eval()
    with torch.no_grad():
        torch.testing.assert_close(again(ids).logits, trained, rtol=0, atol=1e-5)
    assert float((trained - start).abs().max()) > 0.05


def test_a_frozen_base_keeps_its_precision(make_dpo: MakeDPO, policy: GPT2LMHeadModel) -> None:
    trainer = make_dpo(model=policy.bfloat16(), peft_config=lora())
    trainer.train()
    kinds = {p.requires_grad: p.dtype for p in trainer.model.parameters()}
    assert kinds == {True: torch.float32, False: torch.bfloat16}
