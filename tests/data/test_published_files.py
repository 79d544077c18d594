"""Published files: every number below is in the description of the data."""

import gzip
import json
from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from rlhf_compare.data.config import DataConfig, TaskConfig
from rlhf_compare.data.prepare import PreparedData, prepare
from rlhf_compare.data.views import pair_indices, pairs_view, prompt_view, ranked_view
from tests.data.prepared import both_sides

ALPACA = "alpaca_eval_ranked.jsonl.gz"


HH = "hh_rlhf_harmless_base_test_first1500.jsonl.gz"


# --- the published file: every number below is in the data's description


@pytest.fixture(scope="module")
def hh(shared_data: Path, gpt2_tokenizer: PreTrainedTokenizerFast) -> PreparedData:
    config = DataConfig(source="file", path=str(shared_data / HH))
    return prepare(config, TaskConfig(), lambda _: gpt2_tokenizer)


def test_hh_ledger(hh: PreparedData) -> None:
    ledger = hh.ledger
    assert ledger.read == 1500
    assert ledger.dropped == {"empty_chosen": 3, "multi_turn": 1071}
    assert ledger.read - ledger.dropped["multi_turn"] == 429  # single-turn
    assert ledger.kept == 426  # none is over the length limit
    assert ledger.train_rows + ledger.eval_rows == 426


def test_hh_repeated_prompts_stay_together(hh: PreparedData) -> None:
    prompts = [row["prompt"] for row in both_sides(hh)]
    assert len(prompts) - len(set(prompts)) == 2
    assert not set(hh.train["prompt"]) & set(hh.eval["prompt"])
    assert len(prompt_view(hh.train)) == len(set(hh.train["prompt"]))


def test_hh_mean_length(hh: PreparedData) -> None:
    """62.8 tokens of prompt + chosen: encoded apart, EOS counted."""
    lengths = [len(row["prompt_ids"]) + len(row["response_ids"][0]) for row in both_sides(hh)]
    assert sum(lengths) / len(lengths) == pytest.approx(62.8, abs=0.05)


def test_hh_preference_task(shared_data: Path, gpt2_tokenizer: PreTrainedTokenizerFast) -> None:
    config = DataConfig(source="file", path=str(shared_data / HH))
    prepared = prepare(config, TaskConfig(name="preference"), lambda _: gpt2_tokenizer)
    assert prepared.ledger.read == prepared.ledger.kept + sum(prepared.ledger.dropped.values())
    assert all(row["demonstration_ids"] == row["response_ids"][0] for row in both_sides(prepared))


@pytest.mark.parametrize("task", [TaskConfig(), TaskConfig(name="preference")])
def test_hh_with_multi_turn_kept(
    shared_data: Path, gpt2_tokenizer: PreTrainedTokenizerFast, task: TaskConfig
) -> None:
    limits = {"max_prompt_length": 1024, "max_length": 2048}
    config = DataConfig(source="file", path=str(shared_data / HH), multi_turn="last", **limits)
    prepared = prepare(config, task, lambda _: gpt2_tokenizer)
    ledger = prepared.ledger
    assert (ledger.read, ledger.kept) == (1500, 1492)
    assert ledger.dropped == {"roles_out_of_order": 4, "empty_chosen": 4}
    assert ledger.as_dict()["named"] == {
        "empty_chosen": ["line 87", "line 517", "line 926", "line 1104"],
        "roles_out_of_order": ["line 668", "line 764", "line 1255", "line 1320"],
    }
    # found by plain string search in the raw rows, not by the parser: where the last answers begin
    raw: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in read(shared_data / HH):
        ends = [row[side].rsplit("\n\nAssistant:", 1) for side in ("chosen", "rejected")]
        prompt = ends[0][0].replace("\n\nHuman: ", "\n### Question: ")
        prompt = prompt.replace("\n\nAssistant: ", "\n### Answer: ")
        raw[squeezed(prompt)].append((ends[0][1].strip(), ends[1][1].strip()))
    for row in both_sides(prepared):
        assert row["prompt"].endswith("\n### Answer: ")
        answers = raw[squeezed(row["prompt"].removesuffix("\n### Answer: "))]
        if task.name == "prefix":
            answers = [(f"Let me explain. {chosen}", chosen) for chosen, _ in answers]
        assert tuple(row["responses"]) in answers  # whole: no piece of them is in the prompt


def read(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def squeezed(text: str) -> str:
    return " ".join(text.split())


# --- K ranked responses


ALL_ROWS, FIRST_ROWS = (645, 15471, 90851, 86965, 438), (255, 6119, 35149, 35208, 169)


@pytest.fixture(scope="module", params=[pytest.param(ALL_ROWS, marks=pytest.mark.slow), FIRST_ROWS])
def counts(request: pytest.FixtureRequest) -> tuple[int, ...]:
    """Rows, responses, pairs, ties, and rows to train on whose scores differ."""
    return tuple(request.param)


@pytest.fixture(scope="module")
def alpaca(
    shared_data: Path, gpt2_tokenizer: PreTrainedTokenizerFast, counts: tuple[int, ...]
) -> PreparedData:
    limits = {"max_prompt_length": 4096, "max_length": 16384, "max_rows": counts[0]}
    config = DataConfig(source="file", path=str(shared_data / ALPACA), **limits)
    return prepare(config, TaskConfig(name="preference"), lambda _: gpt2_tokenizer)


def test_ranked_responses_are_all_there(
    alpaca: PreparedData, shared_data: Path, counts: tuple[int, ...]
) -> None:
    rows, responses, different, tied, _ = counts
    raw = read(shared_data / ALPACA)[:rows]
    pairs = Counter(
        a == b for row in raw for a, b in combinations(row["scores"], 2)
    )  # every two of a prompt's K
    ledger = alpaca.ledger
    assert (ledger.read, ledger.kept, ledger.dropped) == (rows, rows, {})
    assert ledger.responses == {"read": responses, "kept": responses, "too_long": 0}
    assert (ledger.pairs, ledger.ties) == (pairs[False], pairs[True]) == (different, tied)
    lengths = Counter(len(row["responses"]) for row in raw)
    assert Counter(len(row["responses"]) for row in both_sides(alpaca)) == lengths
    assert set(lengths) == ({24, 23, 22} if rows > 500 else {24, 23})
    by_prompt = {TaskConfig().render(row["prompt"]): row for row in raw}
    for row in both_sides(alpaca):
        source = by_prompt[row["prompt"]]
        assert row["responses"] == source["responses"] and row["scores"] == source["scores"]
        assert len(row["response_ids"]) == len(row["scores"])


def test_the_reward_model_gets_what_ranks(alpaca: PreparedData, counts: tuple[int, ...]) -> None:
    view = ranked_view(alpaca.train)
    assert len(view) == alpaca.ledger.feeds["rankings"] == counts[-1]  # all-tied rows rank nothing
    assert all(len(set(scores)) > 1 for scores in view["scores"])
    assert len(pairs_view(alpaca.train)) == counts[-1]
    pairs = sum(len(pair_indices(row["scores"], "all")) for row in both_sides(alpaca))
    assert pairs == alpaca.ledger.pairs
