"""One base, several hats: the reference is the base to the bit, and the base never changes."""

import copy
import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from transformers import GPT2LMHeadModel

from rlhf_compare.models.adapters import REWARD, VALUE, AdapterBackbone, Hats
from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.models.policy import fuse_activations
from rlhf_compare.ppo.models import chosen_logits
from rlhf_compare.ppo.rollout import window
from rlhf_compare.tensors.logprobs import token_logprobs
from tests.ppo.conftest import MakeTrainer
from tests.ppo.test_resume import SETTINGS, history
from tests.ppo.test_trainer import collect, rows, weights_hash


def lora(**fields: Any) -> LoraConfig:
    return LoraConfig(r=4, lora_alpha=8, target_modules=["c_attn"], fan_in_fan_out=True, **fields)


def base_hash(trainer: Any) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(trainer.policy.get_base_model().state_dict().items()):
        if "lora_" not in name:
            digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def test_reference_is_the_frozen_base_to_the_bit(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel
) -> None:
    frozen = copy.deepcopy(policy).eval()
    fuse_activations(frozen)  # as the trainer does with every model
    trainer = make_trainer(peft_config=lora())
    before = base_hash(trainer)
    trainer.train()
    assert base_hash(trainer) == before
    rollout = collect(trainer)
    every = torch.arange(len(rollout))
    with torch.no_grad():
        cut = window(rollout.sequences, rollout.lengths, rollout.predicted, every)
        expected = token_logprobs(
            chosen_logits(frozen, cut.sequences, cut.predicted, True), cut.tokens
        )
        with trainer._reference() as (reference, plain_head):
            got = token_logprobs(
                chosen_logits(reference, cut.sequences, cut.predicted, plain_head),
                cut.tokens,
            )
    assert torch.equal(got, expected)
    assert not torch.equal(rollout.logprobs, rollout.ref_logprobs)


def test_first_step_has_not_moved_and_later_ones_have(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer({"num_ppo_epochs": 1, "num_mini_batches": 1}, peft_config=lora())
    trainer.train()
    first, second = rows(trainer)[:2]
    assert first["val/ratio"] == 1.0 and first["objective/kl_exact"] == 0.0
    assert second["objective/kl_exact"] > 0.0


def test_policy_and_value_adapters_both_train_in_one_backward(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(peft_config=lora())
    hats = trainer.hats
    before = [p.clone() for p in hats.parameters_of("policy") + hats.parameters_of(VALUE)]
    trainer.train()
    after = hats.parameters_of("policy") + hats.parameters_of(VALUE)
    moved = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert len(moved) == 8 and all(moved)
    trained = {id(p) for group in trainer.optimizer.param_groups for p in group["params"]}
    assert len(trained) == len(moved) + 1  # and the value head; nothing of the base


def test_reward_adapter_on_the_same_base_starts_the_critic_and_never_trains(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel, tmp_path: Path
) -> None:
    hats = Hats.on(policy, lora())
    hats.add(REWARD, lora())
    torch.manual_seed(3)
    for parameter in hats.parameters_of(REWARD):
        torch.nn.init.normal_(parameter, std=0.1)
        parameter.requires_grad_(False)
    reward = ScalarHeadModel(AdapterBackbone(hats, REWARD), init_std=1.0)
    trainer = make_trainer(model=hats.model, reward_model=reward)
    value = [p.clone() for p in trainer.hats.parameters_of(VALUE)]
    assert all(torch.equal(a, b) for a, b in zip(value, hats.parameters_of(REWARD), strict=True))
    before = [p.clone() for p in hats.parameters_of(REWARD)] + [reward.head.weight.clone()]
    scores = collect(trainer).scores
    trainer.train()
    after = [*hats.parameters_of(REWARD), reward.head.weight]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert scores.std() > 0

    reward.save_pretrained(tmp_path / "reward")
    other = Hats.on(_plain(policy), lora())
    other.load(REWARD, tmp_path / "reward" / REWARD)
    again = ScalarHeadModel(AdapterBackbone(other, REWARD), init_std=0.0)
    again.load_head(tmp_path / "reward")
    ids = torch.tensor([[50, 51, 52]])
    mask = torch.ones_like(ids).bool()
    with torch.no_grad():
        assert torch.equal(again.scores(ids, mask), reward.scores(ids, mask))


def _plain(policy: GPT2LMHeadModel) -> GPT2LMHeadModel:
    """The base without adapters, as it would be loaded from disk."""
    plain = GPT2LMHeadModel(policy.config)
    state = {
        name.replace(".base_layer", ""): value
        for name, value in policy.state_dict().items()
        if "lora_" not in name
    }
    plain.load_state_dict(state)
    return plain


def test_resumed_run_with_adapters_is_the_same_run(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel, tmp_path: Path
) -> None:
    start = copy.deepcopy(policy)
    settings = {**SETTINGS, "reference_ema": None, "output_dir": str(tmp_path / "straight")}
    straight = make_trainer(settings, peft_config=lora())
    straight.train()
    resumed = make_trainer(settings, peft_config=lora(), model=start)
    resumed.train(resume_from_checkpoint=str(tmp_path / "straight" / "checkpoint-2"))
    assert weights_hash(resumed.model) == weights_hash(straight.model)
    assert history(resumed) == history(straight)



@pytest.mark.parametrize(
    "fields", [{"bias": "all"}, {"modules_to_save": ["ln_f"]}, {"init_lora_weights": "pissa"}]
)
def test_what_would_stay_with_the_adapter_off_is_refused(
    make_trainer: MakeTrainer, fields: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(fields))}: must be"):
        make_trainer(peft_config=lora(**fields))
