"""Reward models with a planted fault, examined on real texts: each must be caught, and a model that
pays for what the task asks for must pass."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from datasets import Dataset
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedTokenizerFast

from rlhf_compare.data.config import DataConfig, TaskConfig
from rlhf_compare.data.prepare import prepare
from rlhf_compare.data.views import ranked_view
from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.models.tokenizer import train_tokenizer
from rlhf_compare.reward.checks import Diagnosis
from rlhf_compare.reward.evaluate import evaluate_reward_model

from .conftest import backbone

Score = Callable[[str, int], float]  # of the decoded text and its number of tokens


class Planted(nn.Module):
    """Scores texts by a rule, through the interface of a ScalarHeadModel."""

    def __init__(self, tokenizer: Any, rule: Score, by_padding: float = 0.0) -> None:
        super().__init__()
        self.head, self.config = nn.Linear(1, 1), PretrainedConfig()
        self.tokenizer, self.rule, self.by_padding = tokenizer, rule, by_padding

    def scores(self, ids: Tensor, mask: Tensor) -> Tensor:
        texts = [self.tokenizer.decode(row[keep]) for row, keep in zip(ids, mask, strict=True)]
        values = [self.rule(t, int(m.sum())) for t, m in zip(texts, mask, strict=True)]
        return torch.tensor(values) + self.by_padding * (~mask).sum(1)


@pytest.fixture(scope="module")
def prefix_task() -> tuple[PreTrainedTokenizerFast, Dataset, TaskConfig]:
    made: list[Any] = []
    task = TaskConfig()
    prepared = prepare(
        DataConfig(max_rows=400, eval_share=0.4),
        task,
        lambda texts: made.append(train_tokenizer(texts, 800)) or made[0],
    )
    return made[0], ranked_view(prepared.eval), task


@pytest.fixture(scope="module")
def preference_task() -> tuple[PreTrainedTokenizerFast, Dataset, TaskConfig]:
    """Pairs in which the chosen answer is the friendly one: it ends in thanks, two times of three
    and in one of three other phrases."""
    task = TaskConfig(name="preference")
    words = ["tree", "river", "stone", "cloud", "bread", "horse", "paper", "window"]
    ends = ["Thanks for asking.", "Thanks!", "I hope it helps."]
    texts = []
    for n in range(90):
        prompt = task.render(f"What is a {words[n % 8]} number {n}?")
        answer = f"A {words[n % 8]} is a thing like a {words[(n * 5 + 1) % 8]}" + " and more" * (
            n % 4
        )
        texts.append((prompt, f"{answer}. {ends[n % 3]}", f"{answer}. So it is, as it was."))
    tokenizer = train_tokenizer([text for row in texts for text in row], 500)
    rows = [
        {
            "prompt_ids": tokenizer(prompt)["input_ids"],
            "response_ids": [
                [*tokenizer(text)["input_ids"], tokenizer.eos_token_id] for text in (good, bad)
            ],
            "scores": [1.0, 0.0],
        }
        for prompt, good, bad in texts
    ]
    return tokenizer, Dataset.from_list(rows), task


def diagnose(world: Any, rule: Score, **planted: float) -> Diagnosis:
    tokenizer, rows, task = world
    model: Any = Planted(tokenizer, rule, **planted)
    return evaluate_reward_model(model, rows, tokenizer, task, 64, sft_model=None)


def failed(diagnosis: Diagnosis) -> set[str]:
    return {check.name for check in diagnosis.failed}


def answer_of(text: str) -> str:
    return text.split("### Answer: ")[-1]


def for_the_prefix(text: str, tokens: int) -> float:
    """What the prefix task asks for, with a little noise that the text decides."""
    noise = (sum(map(ord, text)) % 100) / 200
    return (2.0 if answer_of(text).startswith("Let me explain.") else -2.0) + noise


def test_a_model_that_pays_for_the_prefix_passes_the_prefix_task(prefix_task: Any) -> None:
    found = diagnose(prefix_task, for_the_prefix)
    assert not found.failed
    verdicts = {check.name: check.verdict for check in found.checks}
    assert verdicts["held_out_accuracy"] == "ok" and verdicts["length_correlation"] == "ok"
    assert verdicts["accuracy_without_prefix"] == verdicts["sft_samples"] == "n/a"
    assert verdicts["empty"] == verdicts["one_token_repeated"] == verdicts["prompt_echoed"] == "ok"
    assert len(verdicts) == len(found.checks) == 11


def thanks(text: str, tokens: int) -> float:
    return float(text.lower().count("thank"))


def length(text: str, tokens: int) -> float:
    return 0.2 * tokens


def test_one_that_pays_for_thanks_fails_the_prefix_task(prefix_task: Any) -> None:
    assert {"held_out_accuracy", "one_token_repeated"} <= failed(diagnose(prefix_task, thanks))


def test_one_that_pays_for_thanks_beside_the_prefix_fails_it(prefix_task: Any) -> None:
    """All held-out pairs are ordered rightly: only the odd texts show it."""
    found = diagnose(prefix_task, lambda *text: for_the_prefix(*text) + thanks(*text))
    assert failed(found) == {"one_token_repeated"}
    (check,) = found.failed
    assert "thank" in check.sentence


def test_one_that_pays_for_thanks_fails_where_people_do_so_too(preference_task: Any) -> None:
    """The labels themselves like thanks, so that accuracy is above chance."""
    found = diagnose(preference_task, thanks)
    accuracy = found.checks[0]
    assert accuracy.low is not None and accuracy.low > 0.5
    assert failed(found) == {"one_token_repeated"} and "hank" in found.failed[0].sentence


@pytest.mark.parametrize("world", ["prefix_task", "preference_task"])
def test_one_that_pays_for_length_fails(world: str, request: pytest.FixtureRequest) -> None:
    """On the prefix task every chosen response is the longer one: its accuracy is 1."""
    found = diagnose(request.getfixturevalue(world), length)
    assert "length_correlation" in failed(found)
    if world == "prefix_task":
        assert found.checks[0].value == 1.0


def test_one_that_reads_padding_fails(prefix_task: Any) -> None:
    assert "padding_invariance" in failed(diagnose(prefix_task, for_the_prefix, by_padding=0.1))


def test_an_untrained_model_fails(prefix_task: Any) -> None:
    tokenizer, rows, task = prefix_task
    torch.manual_seed(0)
    model = ScalarHeadModel(backbone(tokenizer, positions=256), init_std=1.0)
    assert "held_out_accuracy" in failed(
        evaluate_reward_model(model, rows, tokenizer, task, 64, None)
    )


def test_accuracy_is_measured_again_without_the_prefix(preference_task: Any) -> None:
    """A preference model that only looks for the prefix knows nothing once it is gone."""
    tokenizer, rows, task = preference_task
    prefix = tokenizer("Let me explain. ")["input_ids"]
    prefixed = rows.map(
        lambda row: {"response_ids": [prefix + row["response_ids"][0], row["response_ids"][1]]}
    )
    found = diagnose((tokenizer, prefixed, task), for_the_prefix)
    (check,) = [c for c in found.checks if c.name == "accuracy_without_prefix"]
    assert check.verdict == "warn" and found.checks[0].value == 1.0 and check.value < 0.9
