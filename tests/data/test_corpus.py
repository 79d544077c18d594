"""The rules that the embedded corpus was written to."""

from collections import Counter

import pytest
from datasets import Dataset

from rlhf_compare.data.config import DataConfig
from rlhf_compare.data.sources import load_rows
from rlhf_compare.data.splits import normalise


@pytest.fixture(scope="module")
def corpus() -> Dataset:
    return load_rows(DataConfig())


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
