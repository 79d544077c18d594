"""Models in half precision, as they are published: what is frozen stays so, what trains is float32,
and the two meet without a fault."""

import copy
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, TaskType, get_peft_model
from transformers import AutoModelForCausalLM, GPT2LMHeadModel, PreTrainedTokenizerFast

from tests.ppo.conftest import PROMPTS, MakeTrainer
from tests.ppo.helpers import classifier, rows, shape, weights_hash

HALVES = [torch.bfloat16, torch.float16]


def llama(tokenizer: PreTrainedTokenizerFast, dtype: torch.dtype) -> Any:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(shape("llama", tokenizer)).to(dtype)


def adapted_judge(tokenizer: PreTrainedTokenizerFast, dtype: torch.dtype, seed: int) -> Any:
    config = LoraConfig(task_type=TaskType.SEQ_CLS, r=4, target_modules=["q_proj"])
    return get_peft_model(classifier(tokenizer, "llama", seed).to(dtype), config)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("trunk", ["separate", "shared"])
def test_adapters_train_on_a_base_in_half_precision(
    make_trainer: MakeTrainer, tokenizer: PreTrainedTokenizerFast, dtype: torch.dtype, trunk: str
) -> None:
    base = llama(tokenizer, dtype)
    trainer = make_trainer(
        {"value_trunk": trunk},
        model=base,
        peft_config=LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"),
    )
    frozen = {n: p.clone() for n, p in trainer.policy.named_parameters() if not p.requires_grad}
    trainer.train()
    assert rows(trainer)[0]["objective/kl"] == 0.0
    trained = [p for p in trainer.model.parameters() if p.requires_grad]
    assert {p.dtype for p in trained} == {torch.float32}
    for name, parameter in trainer.policy.named_parameters():
        if name in frozen and "lora_" not in name:
            assert parameter.dtype == dtype and torch.equal(parameter, frozen[name])


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_adapted_reward_and_value_models_in_half_precision(
    make_trainer: MakeTrainer, tokenizer: PreTrainedTokenizerFast, dtype: torch.dtype
) -> None:
    judge, critic = (adapted_judge(tokenizer, dtype, seed) for seed in (3, 4))
    before, start = (copy.deepcopy(model).float() for model in (judge, critic))
    make_trainer(reward_model=judge, value_model=critic).train()
    assert weights_hash(judge.float()) == weights_hash(before)
    assert weights_hash(critic.float()) != weights_hash(start)
    judge = adapted_judge(tokenizer, dtype, 3)
    make_trainer(reward_model=judge).train()  # the critic is a copy of it


def test_a_reference_computes_as_the_policy_does(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel
) -> None:
    """Equal weights, one of the two models loaded in half precision: KL begins at 0."""
    policy = policy.bfloat16().float()
    reference = copy.deepcopy(policy).bfloat16()
    trainer = make_trainer(
        model=policy,
        ref_model=reference,
        train_dataset=Dataset.from_dict({"input_ids": PROMPTS}),
    )
    trainer.train()
    assert rows(trainer)[0]["objective/kl"] == 0.0
