"""What a rollout holds: log-probabilities, scores and values of the sampled tokens."""

from typing import Any

import torch
from torch import Tensor
from transformers import (
    GPT2ForSequenceClassification,
    PreTrainedTokenizerFast,
)

from rlhf_compare.models.generation import Responses
from rlhf_compare.models.policy import response_logits
from rlhf_compare.ppo.rollout import window
from rlhf_compare.tensors.logprobs import token_logprobs
from rlhf_compare.tensors.padding import micro_batches, pad_sequences
from tests.conftest import small_config
from tests.ppo.conftest import PROMPTS, MakeTrainer
from tests.ppo.helpers import collect, rows


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
    sampled_ids, real = pad_sequences(answers, trainer.pad_id, "right")
    trainer.collector.sample = lambda *_: Responses(
        sampled_ids, real, torch.ones(len(sampled_ids)).bool()
    )
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
