"""Settings that change what is learned, and calls that are refused."""

import copy
from typing import Any

import pytest
from datasets import Dataset
from transformers import (
    BertConfig,
    BertModel,
    GPT2LMHeadModel,
    GPT2Model,
    PreTrainedTokenizerFast,
)

from rlhf_compare.models.heads import ScalarHeadModel
from tests.ppo.conftest import MakeTrainer
from tests.ppo.helpers import rows, weights_hash


def test_bad_calls_are_refused_with_the_numbers(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel
) -> None:
    with pytest.raises(ValueError, match="does not divide into 3"):
        make_trainer({"num_mini_batches": 3})
    with pytest.raises(ValueError, match="16 prompts are fewer than one rollout of 32"):
        make_trainer({"per_device_train_batch_size": 16})
    with pytest.raises(ValueError, match="must not be the model that is trained"):
        make_trainer(ref_model=policy)
    with pytest.raises(ValueError, match="prompt 0 is empty"):
        make_trainer(train_dataset=Dataset.from_dict({"input_ids": [[]] * 8}))
    with pytest.raises(ValueError, match="input_ids or prompt"):
        make_trainer(train_dataset=Dataset.from_dict({"text": ["a"] * 8}))
    with pytest.raises(TypeError, match="neither a model nor a function"):
        make_trainer(reward_model=3)


def trained_with(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel, settings: dict[str, Any]
) -> tuple[str, list[dict[str, float]]]:
    """Weights and log of a run from the same start under some settings."""
    twin = copy.deepcopy(policy)
    trainer = make_trainer(settings, model=twin)
    trainer.train()
    return weights_hash(twin), rows(trainer)


def test_critic_warm_up_leaves_the_policy_alone(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel
) -> None:
    before = weights_hash(policy)
    warm, log = trained_with(make_trainer, policy, {"critic_warmup_steps": 3})
    assert warm == before and log[-1]["objective/kl_exact"] == 0.0
    moved, log = trained_with(make_trainer, policy, {"critic_warmup_steps": 1})
    assert moved != before
    assert [row["objective/kl_exact"] > 0 for row in log] == [False, False, True]


def test_an_update_ends_where_the_policy_moved_too_far(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel
) -> None:
    free, _ = trained_with(make_trainer, policy, {})
    stopped, log = trained_with(make_trainer, policy, {"target_kl": 1e-6})
    loose, calm = trained_with(make_trainer, policy, {"target_kl": 1e6})
    assert stopped != free and loose == free
    assert all(row["policy/stopped_early"] == 1.0 for row in log)
    assert all(row["policy/stopped_early"] == 0.0 for row in calm)


@pytest.mark.parametrize("settings", [{"entropy_coef": 0.1}, {"whiten_rewards": True}])
def test_options_of_the_loss_change_what_is_learned(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel, settings: dict[str, Any]
) -> None:
    assert (
        trained_with(make_trainer, policy, settings)[0] != trained_with(make_trainer, policy, {})[0]
    )


def test_an_entropy_bonus_keeps_more_entropy(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel
) -> None:
    _, plain = trained_with(make_trainer, policy, {"max_steps": 6})
    _, bonus = trained_with(make_trainer, policy, {"max_steps": 6, "entropy_coef": 1.0})
    name = "objective/entropy_per_token"
    assert bonus[-1][name] > plain[-1][name]


def test_a_critic_that_sees_the_action_is_no_critic(
    make_trainer: MakeTrainer, tokenizer: PreTrainedTokenizerFast
) -> None:
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        pad_token_id=tokenizer.pad_token_id,
    )
    encoder = ScalarHeadModel(BertModel(config), init_std=1.0)
    with pytest.raises(ValueError, match="its values see the tokens after them"):
        make_trainer(value_model=encoder)
    trainer = make_trainer(reward_model=encoder)  # as a reward it is fine; the critic is another
    assert isinstance(trainer.model.value_model.backbone, GPT2Model)


def test_settings_that_would_do_nothing_are_refused(make_trainer: MakeTrainer) -> None:
    for settings, why in (
        ({"kl_target": 3.0, "kl_coef": 0.0}, "kl_target: 3.0 is refused"),
        ({"critic_warmup_steps": 2, "value_trunk": "shared"}, "critic_warmup_steps: 2 is refused"),
    ):
        with pytest.raises(ValueError, match=why):
            make_trainer(settings)
