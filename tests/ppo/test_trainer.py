"""What correct means: each test fails when the trainer is broken in one way."""

import copy
from typing import Any

import pytest
import torch
from datasets import Dataset
from torch import Tensor
from transformers import (
    GPT2LMHeadModel,
)

from rlhf_compare.errors import StageFailedError
from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.ppo.loss import token_rewards
from rlhf_compare.ppo.rollout import Rollout
from tests.ppo.conftest import PROMPTS, MakeTrainer
from tests.ppo.helpers import collect, rows, weights_hash


def test_first_mini_batch_has_not_moved(make_trainer: MakeTrainer) -> None:
    """One PPO epoch of one mini-batch: ratio exactly 1, approximate KL and clip fraction 0."""
    trainer = make_trainer({"num_ppo_epochs": 1, "num_mini_batches": 1, "max_steps": 1})
    trainer.train()
    row = rows(trainer)[0]
    assert row["val/ratio"] == 1.0
    assert row["policy/approxkl_avg"] == 0.0
    assert row["policy/clipfrac_avg"] == 0.0


def test_kl_to_the_reference_is_0_at_the_first_step_and_not_after(
    make_trainer: MakeTrainer,
) -> None:
    trainer = make_trainer()
    trainer.train()
    assert rows(trainer)[0]["objective/kl"] == 0.0
    assert rows(trainer)[0]["objective/kl_exact"] == 0.0
    assert rows(trainer)[1]["objective/kl_exact"] > 1e-4


def test_score_is_on_eos_and_token_rewards_sum_to_the_objective(
    make_trainer: MakeTrainer,
) -> None:
    trainer = make_trainer({"kl_coef": 0.3})
    trainer.train()
    rollout = collect(trainer)
    rewards = token_rewards(
        rollout.scores, rollout.logprobs, rollout.ref_logprobs, rollout.response_mask, 0.3
    )
    kl = (rollout.logprobs - rollout.ref_logprobs).sum(1)
    torch.testing.assert_close(rewards.sum(1), rollout.scores - 0.3 * kl, rtol=1e-4, atol=1e-4)
    for row in range(len(rollout)):
        response = rollout.sequences[row][rollout.predicted[row]]
        last = int(rollout.response_mask[row].sum()) - 1
        assert len(response) == last + 1
        if rollout.ended[row]:
            assert response[last] == trainer.pad_id  # pad = EOS here, and it is real
            assert trainer.pad_id not in response[:last]
            assert (rollout.response_mask[row].nonzero().max()) == last


@pytest.mark.parametrize(
    "other", [{"per_device_train_batch_size": 1, "gradient_accumulation_steps": 8}]
)
def test_how_a_step_is_cut_into_micro_batches_changes_nothing(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel, other: dict[str, int], tokenizer: Any
) -> None:
    """Same 8 episodes, same 2 mini-batches, micro-batches of 8 and of 1: same weights."""
    twin = copy.deepcopy(policy)
    whole = make_trainer(
        {
            "max_steps": 1,
            "per_device_train_batch_size": 8,
            "gradient_accumulation_steps": 1,
            "optim": "sgd",
        }
    )
    whole.train()
    cut = make_trainer({"max_steps": 1, "optim": "sgd", **other}, model=twin)
    cut.train()
    for a, b in zip(policy.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_temperature_divides_old_new_and_reference_alike(make_trainer: MakeTrainer) -> None:
    """With a temperature the first ratio is still 1 and the first KL still 0: were it left out of
    one of the three, neither would be."""
    trainer = make_trainer(
        {"temperature": 0.6, "num_ppo_epochs": 1, "num_mini_batches": 1, "max_steps": 1}
    )
    trainer.train()
    row = rows(trainer)[0]
    assert row["val/ratio"] == 1.0 and row["objective/kl"] == 0.0


def test_reference_and_reward_model_never_train(
    make_trainer: MakeTrainer, reward_model: ScalarHeadModel, policy: GPT2LMHeadModel
) -> None:
    trainer = make_trainer()
    before = weights_hash(trainer.ref_model), weights_hash(reward_model), weights_hash(policy)
    trainer.train()
    after = weights_hash(trainer.ref_model), weights_hash(reward_model), weights_hash(policy)
    assert before[:2] == after[:2]
    assert before[2] != after[2]


def test_advantages_are_centred_over_the_whole_rollout(
    make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer({"max_steps": 1})
    seen: list[tuple[Rollout, Tensor]] = []
    update = trainer._update

    def spy(model: Any, rollout: Rollout, advantages: Tensor, returns: Tensor) -> Tensor:
        seen.append((rollout, advantages))
        return update(model, rollout, advantages, returns)

    monkeypatch.setattr(trainer, "_update", spy)
    trainer.train()
    rollout, advantages = seen[0]
    real = advantages[rollout.response_mask]
    assert real.mean().item() == pytest.approx(0.0, abs=1e-5)
    assert real.var(unbiased=False).item() == pytest.approx(1.0, rel=1e-3)
    assert bool((advantages[~rollout.response_mask] == 0).all())


def test_training_raises_the_reward(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer({"max_steps": 25, "kl_coef": 0.01})
    trainer.train()
    scores = [row["objective/scores"] for row in rows(trainer)]
    assert sum(scores[-5:]) / 5 > sum(scores[:5]) / 5 + 0.5


def test_function_of_texts_as_reward(make_trainer: MakeTrainer, tokenizer: Any) -> None:
    calls: list[tuple[list[str], list[str]]] = []

    def reward(prompts: list[str], responses: list[str]) -> list[float]:
        calls.append((prompts, responses))
        return [float(len(text)) for text in responses]

    trainer = make_trainer({"max_steps": 1}, reward_model=reward)
    trainer.train()
    prompts, responses = calls[0]
    assert len(prompts) == len(responses) == 8
    assert set(prompts) <= {tokenizer.decode(ids) for ids in PROMPTS}
    assert not any("<|endoftext|>" in text for text in responses)


def test_function_with_too_few_scores_is_refused(make_trainer: MakeTrainer) -> None:
    with pytest.raises(ValueError, match="gave 1 scores for 8 responses"):
        make_trainer(reward_model=lambda prompts, responses: [0.0]).train()


@pytest.mark.parametrize(
    "dataset",
    [
        Dataset.from_dict({"prompt": ["some text " + "a" * i for i in range(8)]}),
        Dataset.from_dict(
            {"prompt": [[{"role": "user", "content": "text " + "a" * i}] for i in range(8)]}
        ),
    ],
    ids=["standard", "conversational"],
)
def test_prompts_as_trl_users_have_them(
    make_trainer: MakeTrainer, tokenizer: Any, dataset: Dataset
) -> None:
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}>"
    trainer = make_trainer({"max_steps": 1}, train_dataset=dataset, processing_class=tokenizer)
    trainer.train()
    text = tokenizer.decode(trainer.train_dataset[1]["input_ids"])
    assert text in ("some text a", "user: text a\n>")


def test_nan_reward_stops_before_any_step(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel
) -> None:
    before = weights_hash(policy)
    trainer = make_trainer(reward_model=lambda p, r: [float("nan")] * len(r))
    with pytest.raises(StageFailedError, match="the reward is"):
        trainer.train()
    assert weights_hash(policy) == before


def test_evaluation_moves_no_draw_of_training(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel
) -> None:
    twin = copy.deepcopy(policy)
    prompts = Dataset.from_dict({"input_ids": PROMPTS[:5]})
    make_trainer().train()
    evaluated = make_trainer(
        {"eval_strategy": "steps", "eval_steps": 1, "per_device_eval_batch_size": 2},
        model=twin,
        eval_dataset=prompts,
    )
    evaluated.train()
    assert weights_hash(twin) == weights_hash(policy)
    reports = [r for r in evaluated.state.log_history if "eval_objective/scores" in r]
    assert len(reports) == 3
    assert evaluated.evaluate() == evaluated.evaluate()
