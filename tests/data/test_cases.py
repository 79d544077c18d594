"""Small files in the columns of public data sets, read as their authors mean them."""

from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from rlhf_compare.data.config import DataConfig, TaskConfig
from rlhf_compare.data.prepare import PreparedData, prepare
from rlhf_compare.errors import DataError
from rlhf_compare.models.tokenizer import train_tokenizer

TOKENIZER: PreTrainedTokenizerFast = train_tokenizer([], 257)
TASK = TaskConfig(name="preference", template="{question}|")
ANSWERS = {
    "Name a red fruit.": ("Sure! An apple is a red fruit.", "Sure! A banana."),
    "What is 2 + 2?": ("Sure! It is 4.", "Sure! It is 5."),
    "Say hello in French.": ("Sure! Bonjour.", "Sure! Hola."),
    "Which planet is the largest?": ("Sure! Jupiter is.", "Sure! Mars is."),
    "Give me a rhyme for cat.": ("Sure! Hat.", "Sure! Dog."),
    "How many legs has a spider?": ("Sure! Eight legs.", "Sure! Six legs."),
    "What colour is grass?": ("Sure! It is green.", "Sure! It is blue."),
    "Who wrote Hamlet?": ("Sure! Shakespeare did.", "Sure! Dickens did."),
    "What is the capital of Japan?": ("Sure! Tokyo.", "Sure! Kyoto."),
    "How many days has a week?": ("Sure! Seven days.", "Sure! Ten days."),
    "What do bees make?": ("Sure! They make honey.", "Sure! They make milk."),
    "What is frozen water?": ("Sure! It is ice.", "Sure! It is steam."),
}
PAIRS = {(f"{question}|", *sides) for question, sides in ANSWERS.items()}
PIRATE = {(f"You are a pirate.\n{question}", *sides) for question, *sides in PAIRS}
GOOD = {(question, good) for question, good, _ in PAIRS}
QUOTED = "Go on.\n\nHuman: What is 2 + 2?\n\nAssistant: 3.\n\nHuman: Really?|"


@pytest.fixture(scope="module")
def cases(shared_data: Path) -> Path:
    folder = shared_data.parent / "cases" / "data"
    if not folder.is_dir():
        pytest.skip(f"no case files in {folder}")
    return folder


def prepared(path: Path, **fields: Any) -> PreparedData:
    data = DataConfig(source="file", path=str(path), eval_share=0.4, **fields)
    return prepare(data, TASK, lambda _: TOKENIZER)


def rows(data: PreparedData) -> list[dict[str, Any]]:
    return [*data.train, *data.eval]


def pairs(data: PreparedData) -> set[tuple[str, str, str]]:
    found = set()
    for row in rows(data):
        best, worst = sorted(zip(row["scores"], row["responses"], strict=True), reverse=True)
        found.add((row["prompt"], best[1], worst[1]))
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("01_question_chosen_rejected.jsonl", PAIRS),
        ("02_conversations_chosen_rejected.jsonl", PAIRS),
        ("04_ultrafeedback_binarized.jsonl", PAIRS),
        ("05_system_prompt_chosen_rejected.jsonl", PIRATE),
        ("06_swift_messages_rejected_response.jsonl", PAIRS),
        ("07_pku_response_0_1.jsonl", PAIRS),
        ("12_wrapped.json", PAIRS),
        ("15_sharegpt_chosen_dict.json", PAIRS),
        ("22_openai_dpo.jsonl", PIRATE),
    ],
)
def test_pairs(cases: Path, name: str, expected: set[tuple[str, str, str]]) -> None:
    data = prepared(cases / name)
    assert data.ledger.read == data.ledger.kept == data.ledger.pairs == 12
    assert pairs(data) == expected


def test_one_prompt_that_quotes_a_transcript(cases: Path) -> None:
    data = prepared(cases / "13_one_prompt_holds_a_transcript.jsonl")
    four = ("Sure! It is 4.", "Sure! It is 5.")
    assert data.ledger.kept == 12
    assert pairs(data) == PAIRS - {("What is 2 + 2?|", *four)} | {(QUOTED, *four)}


@pytest.mark.parametrize(
    "name", ["09_prompt_response.jsonl", "17_content_parts.jsonl", "21_alpaca.json"]
)
def test_demonstrations(cases: Path, name: str) -> None:
    data = prepared(cases / name)
    assert data.ledger.read == data.ledger.kept == 12 and data.ledger.pairs == 0
    assert {(row["prompt"], row["demonstration"]) for row in rows(data)} == GOOD


@pytest.mark.parametrize("format_name", ["auto", "demonstrations"])
def test_bad_completions_are_no_demonstrations(cases: Path, format_name: str) -> None:
    data = prepared(cases / "10_kto_messages_label.json", format=format_name)
    assert data.ledger.read == 24 and data.ledger.dropped == {"marked_bad": 12}
    assert {(row["prompt"], row["demonstration"]) for row in rows(data)} == GOOD


def test_prompts_that_are_transcripts(cases: Path) -> None:
    data = prepared(cases / "14_prompts_are_transcripts.jsonl")
    assert {row["prompt"] for row in rows(data)} == {f"{question}|" for question in ANSWERS}


def test_a_pointer_is_named(cases: Path) -> None:
    with pytest.raises(DataError, match="this is a Git LFS pointer, not the data"):
        prepared(cases / "19_lfs_pointer.jsonl")
