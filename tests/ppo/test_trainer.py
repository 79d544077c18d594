"""What correct means: each test fails when the trainer is broken in one way."""

import copy
import hashlib
from typing import Any

import pytest
import torch
from datasets import Dataset
from torch import Tensor
from transformers import (
    BertConfig,
    BertModel,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    GPT2Model,
    PreTrainedTokenizerFast,
)

from rlhf_compare.errors import StageFailedError
from rlhf_compare.models.generation import Responses
from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.models.policy import response_logits
from rlhf_compare.ppo.loss import token_rewards
from rlhf_compare.ppo.rollout import Rollout, window
from rlhf_compare.tensors.logprobs import token_logprobs
from rlhf_compare.tensors.padding import micro_batches, pad_sequences
from tests.conftest import small_config
from tests.ppo.conftest import PROMPTS, MakeTrainer


def weights_hash(model: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def rows(trainer: Any) -> list[dict[str, float]]:
    return [row for row in trainer.state.log_history if "objective/kl" in row]


def collect(trainer: Any, prompts: list[list[int]] = PROMPTS, seed: int = 0) -> Rollout:
    torch.manual_seed(seed)
    ids, mask = pad_sequences(prompts, trainer.pad_id, "left")
    return trainer.collector.collect(trainer.model, trainer.policy, ids, mask)


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


def test_log_probabilities_are_those_of_a_plain_forward(make_trainer: MakeTrainer) -> None:
    """Every response alone, without padding, through the model as transformers calls it."""
    trainer = make_trainer({"temperature": 0.7})
    rollout = collect(trainer)
    for row in range(len(rollout)):
        ids = rollout.sequences[row][: rollout.lengths[row]].unsqueeze(0)
        assert ids[0, : len(PROMPTS[row])].tolist() == PROMPTS[row]
        n = int(rollout.response_mask[row].sum())
        with torch.no_grad():
            logits = trainer.policy(ids).logits[:, -n - 1 : -1] / 0.7
        expected = token_logprobs(logits, ids[:, -n:])[0]
        torch.testing.assert_close(rollout.logprobs[row, :n], expected, rtol=1e-4, atol=1e-5)
        assert bool((rollout.logprobs[row, n:] == 0).all())


def test_what_lies_under_padding_changes_nothing(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer()
    ids, mask = pad_sequences(PROMPTS, trainer.pad_id, "left")
    torch.manual_seed(0)
    clean = trainer.collector.collect(trainer.model, trainer.policy, ids, mask)
    garbage = torch.where(mask, ids, torch.full_like(ids, 5))
    torch.manual_seed(0)
    dirty = trainer.collector.collect(trainer.model, trainer.policy, garbage, mask)
    for name in ("logprobs", "ref_logprobs", "values", "scores", "token_kl"):
        torch.testing.assert_close(getattr(dirty, name), getattr(clean, name))


def judge(trainer: Any, prompts: list[list[int]], answers: list[list[int]]) -> dict[str, Tensor]:
    """Per-token columns of given responses, padded to any width."""
    ids, mask = pad_sequences(prompts, trainer.pad_id, "left")
    said, real = pad_sequences(answers, trainer.pad_id, "right")
    trainer.collector.sample = lambda *_: Responses(said, real, torch.ones(len(said)).bool())
    rollout = trainer.collector.collect(trainer.model, trainer.policy, ids, mask)
    return {name: getattr(rollout, name) for name in ("logprobs", "values", "scores", "token_kl")}


def test_batch_of_1_equals_batch_of_8(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer()
    answers = [[7 + i] * (1 + i % 5) + [trainer.pad_id] for i in range(8)]
    together = judge(trainer, PROMPTS[:8], answers)
    for row in range(8):
        alone = judge(trainer, [PROMPTS[row]], [answers[row]])
        for name, values in alone.items():
            expected = (
                together[name][row][: values.shape[1]] if values.dim() > 1 else together[name][row]
            )
            torch.testing.assert_close(values[0], expected, rtol=1e-4, atol=1e-5)


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


def test_sequence_classifier_as_reward_is_read_at_eos(
    make_trainer: MakeTrainer, tokenizer: PreTrainedTokenizerFast
) -> None:
    config = small_config(tokenizer)
    config.num_labels = 1
    classifier = GPT2ForSequenceClassification(config)
    trainer = make_trainer(reward_model=classifier)
    rollout = collect(trainer)
    ids = rollout.sequences[0][: rollout.lengths[0]].unsqueeze(0)
    with torch.no_grad():
        expected = classifier.score(classifier.transformer(ids).last_hidden_state)[0, -1, 0]
    torch.testing.assert_close(rollout.scores[0], expected, rtol=1e-4, atol=1e-5)


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


def test_nan_reward_stops_before_any_step(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel
) -> None:
    before = weights_hash(policy)
    trainer = make_trainer(reward_model=lambda p, r: [float("nan")] * len(r))
    with pytest.raises(StageFailedError, match="the reward is"):
        trainer.train()
    assert weights_hash(policy) == before


def test_missing_eos_penalty_and_centring(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer({"missing_eos_penalty": 5.0}, reward_model=lambda p, r: [1.0] * len(r))
    rollout = collect(trainer)
    assert not bool(rollout.ended.all())
    expected = torch.where(rollout.ended, 1.0, -4.0)
    assert torch.equal(rollout.scores, expected)
    centred = make_trainer(
        {"center_scores_on": 16, "max_steps": 1}, reward_model=lambda p, r: [7.0] * len(r)
    )
    centred.train()
    assert centred.collector.score_offset == 7.0
    assert rows(centred)[0]["objective/scores"] == 0.0


def test_micro_batches_hold_every_row_once_and_no_more_padding_than_needed() -> None:
    lengths = torch.randint(1, 40, (64,), generator=torch.Generator().manual_seed(0))
    rows = torch.randperm(64, generator=torch.Generator().manual_seed(1))[:48]
    cuts = micro_batches(lengths, rows, 32)
    assert sorted(torch.cat(cuts).tolist()) == sorted(rows.tolist())
    assert max(map(len, cuts)) <= 32
    cells = sum(len(c) * int(lengths[c].max()) for c in cuts)
    assert cells < 0.8 * 48 * int(lengths[rows].max())


def test_window_keeps_every_real_token() -> None:
    sequences, lengths = torch.arange(30).view(3, 10), torch.tensor([5, 3, 10])
    predicted = torch.arange(10) < lengths.unsqueeze(1)
    predicted[:, :2] = False
    cut = window(sequences, lengths, predicted, torch.tensor([0, 1]))
    assert cut.sequences.shape == (2, 5)
    assert cut.tokens.tolist() == [2, 3, 4, 12]


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


def test_responses_read_back_at_the_reference(make_trainer: MakeTrainer) -> None:
    """ref_logprobs are log-probabilities of the frozen copy, also after the policy moved."""
    trainer = make_trainer()
    trainer.train()
    rollout = collect(trainer)
    with torch.no_grad():
        for row in range(len(rollout)):
            ids = rollout.sequences[row : row + 1, : rollout.lengths[row]]
            n = int(rollout.response_mask[row].sum())
            logits = response_logits(trainer.ref_model, ids, torch.ones_like(ids).bool(), n)
            expected = token_logprobs(logits, ids[:, -n:])[0]
            torch.testing.assert_close(
                rollout.ref_logprobs[row, :n], expected, rtol=1e-4, atol=1e-5
            )


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
