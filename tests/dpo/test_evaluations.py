"""Evaluations while DPO trains: when it stops, what is kept, several sets and streams."""

import copy
from typing import Any

import pytest
from datasets import Dataset
from transformers import GPT2LMHeadModel

from tests.dpo.conftest import MakeDPO
from tests.ppo.helpers import weights_hash


class Climbing:
    """A probe that says what it is told: KL and adoption of the first, second, ... evaluation."""

    def __init__(self, *answers: tuple[float, float]) -> None:
        self.answers, self.weights = list(answers), []

    def __call__(self, policy: Any) -> dict[str, float]:
        self.weights.append(weights_hash(policy))
        kl, adoption = self.answers[len(self.weights) - 1]
        return {"kl_exact": kl, "adoption_exact": adoption}


EVERY_STEP = {"eval_strategy": "steps", "eval_steps": 1, "keep": "best"}


def test_stops_over_the_budget_and_keeps_the_best_within(
    make_dpo: MakeDPO, policy: GPT2LMHeadModel, pairs: Dataset
) -> None:
    probe = Climbing((1.0, 0.5), (2.0, 0.8), (3.5, 0.99), (9.0, 1.0))
    trainer = make_dpo({**EVERY_STEP, "kl_budget": 3.0}, eval_dataset=pairs, probe=probe)
    trainer.train()
    assert len(probe.weights) == 3  # the third is over it and the last
    logged = [row["num_tokens"] for row in trainer.state.log_history if "num_tokens" in row]
    assert trainer.meter.tokens["trained"] == logged[-1]  # of three steps, not of the epoch
    assert weights_hash(policy) == probe.weights[1]
    assert trainer.state.log_history[-1]["step"] == 3


def test_where_nothing_is_within_the_budget_the_least_kl_is_kept(
    make_dpo: MakeDPO, policy: GPT2LMHeadModel, pairs: Dataset
) -> None:
    probe = Climbing((4.0, 0.5))
    make_dpo({**EVERY_STEP, "kl_budget": 3.0}, eval_dataset=pairs, probe=probe).train()
    assert weights_hash(policy) == probe.weights[0]


def test_without_a_probe_the_best_is_the_most_accurate_on_held_out_pairs(
    make_dpo: MakeDPO, pairs: Dataset
) -> None:
    trainer = make_dpo(EVERY_STEP, eval_dataset=pairs)
    trainer.train()
    rows = [r for r in trainer.state.log_history if "eval_rewards/accuracies" in r]
    assert trainer.state.best_metric == max(r["eval_rewards/accuracies"] for r in rows)


def test_probing_moves_no_weight(
    make_dpo: MakeDPO, policy: GPT2LMHeadModel, pairs: Dataset
) -> None:
    """Two epochs in batches by length: the second epoch's order is drawn after evaluations."""
    twin = copy.deepcopy(policy)
    by_length = {"train_sampling_strategy": "group_by_length", "num_train_epochs": 2}
    make_dpo(by_length).train()
    evaluated = make_dpo(
        {**by_length, "eval_strategy": "steps", "eval_steps": 1},
        model=twin,
        eval_dataset=pairs,
        probe=Climbing(*[(1.0, 0.5)] * 8),
    )
    evaluated.train()
    assert weights_hash(twin) == weights_hash(policy)


def test_what_would_be_ignored_is_refused(make_dpo: MakeDPO, pairs: Dataset) -> None:
    with pytest.raises(ValueError, match="kl_budget needs a probe"):
        make_dpo({**EVERY_STEP, "kl_budget": 3.0}, eval_dataset=pairs)


# --- several sets, streams, TRL's own config


def test_nothing_is_selected_where_the_last_is_kept(make_dpo: MakeDPO, pairs: Dataset) -> None:
    trainer = make_dpo({"eval_strategy": "steps", "eval_steps": 1}, eval_dataset=pairs)
    trainer.train()
    assert not any("eval_selection" in row for row in trainer.state.log_history)
    assert "eval_selection" not in trainer.evaluate()


def test_best_of_several_evaluation_sets(
    make_dpo: MakeDPO, policy: GPT2LMHeadModel, pairs: Dataset
) -> None:
    """The mean of their accuracies; a second set with swapped sides turns every choice round, so
    that the mean is one half wherever no pair is equal."""
    swapped = pairs.rename_columns({"chosen_ids": "other", "rejected_ids": "chosen_ids"})
    twin = copy.deepcopy(policy)
    sets = {"a": pairs, "b": swapped.rename_column("other", "rejected_ids")}
    probe_calls: list[int] = []
    trainer = make_dpo(EVERY_STEP, eval_dataset=sets)
    trainer.probe = lambda _: probe_calls.append(1) or {}
    trainer.train()
    chosen = [r["eval_selection"] for r in trainer.state.log_history if "eval_selection" in r]
    assert len(chosen) == 4 == len(probe_calls)
    assert chosen == pytest.approx([0.5] * 4)
    alone = make_dpo(EVERY_STEP, model=twin, eval_dataset={"a": pairs})
    alone.train()
    assert alone.state.best_metric > 0.5
