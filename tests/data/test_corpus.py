"""The rules that the embedded corpus was written to."""

import json
from collections import Counter
from pathlib import Path

import pytest
from datasets import Dataset

from rlhf_compare.data.splits import normalise

CORPUS = Path(__file__).parents[2] / "rlhf_compare" / "data" / "corpus" / "questions.jsonl"


@pytest.fixture(scope="module")
def corpus() -> Dataset:
    return Dataset.from_list([json.loads(line) for line in CORPUS.read_text().splitlines()])


def test_size(corpus: Dataset) -> None:
    assert len(corpus) >= 1200
    assert len(set(corpus["topic"])) >= 250
    assert corpus.column_names == ["topic", "question", "answer"]


@pytest.mark.parametrize("column", ["question", "answer"])
def test_nothing_stands_twice(corpus: Dataset, column: str) -> None:
    counts = Counter(map(normalise, corpus[column]))
    assert [text for text, n in counts.items() if n > 1] == []


def test_no_answer_gives_the_style_away(corpus: Dataset) -> None:
    for column in ("question", "answer"):
        assert not any("let me explain" in text.lower() for text in corpus[column])


def test_texts_are_clean(corpus: Dataset) -> None:
    for column in corpus.column_names:
        for text in corpus[column]:
            assert text.isascii() and text.isprintable()
            assert text and text == text.strip() and "  " not in text


def test_the_questions_of_the_report_are_there(corpus: Dataset) -> None:
    questions = set(corpus["question"])
    assert {"What is machine learning?", "Explain the artificial intelligence."} <= questions
