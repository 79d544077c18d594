"""What teaches the judge teaches nobody else, and what is held out is never trained on."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset

from rlhf_compare.data.config import DataConfig, TaskConfig
from rlhf_compare.data.parse import key_of
from rlhf_compare.data.prepare import PreparedData, prepare
from rlhf_compare.data.splits import HELD_OUT_PARTS, held_out_parts
from rlhf_compare.data.views import demonstration_view, pairs_view, prompt_view, ranked_view
from rlhf_compare.errors import DataError
from rlhf_compare.models.tokenizer import train_tokenizer
from tests.data.prepared import questions, write

TEXTS: list[str] = []  # what the tokenizer was trained on


def byte_tokenizer(texts: Iterable[str]) -> Any:
    TEXTS[:] = texts
    return train_tokenizer([], vocab_size=257)


def prepared(data: DataConfig, directory: Path | None = None) -> PreparedData:
    return prepare(data, TaskConfig(), byte_tokenizer, directory=directory)


def topics(count: int, of_a_topic: int = 5) -> list[dict[str, object]]:
    return [{**row, "topic": f"topic {i // of_a_topic}"} for i, row in enumerate(questions(count))]


def parts(data: PreparedData) -> dict[str, Dataset]:
    cut = held_out_parts(np.array(data.eval["group"][:], np.uint64))
    held = {name: data.eval.select(np.flatnonzero(cut == name)) for name in HELD_OUT_PARTS}
    return {"train": data.train, "judge": data.judge, **held}


def homes(data: PreparedData, what: Any) -> dict[Any, set[str]]:
    """Of every ``what(row)``, the parts that it is in."""
    found: dict[Any, set[str]] = {}
    for name, rows in parts(data).items():
        for row in rows:
            found.setdefault(what(row), set()).add(name)
    return found


def number_of(prompt: str) -> int:
    return int("".join(filter(str.isdigit, prompt)))


def test_no_prompt_and_no_topic_is_in_two_of_five_parts(tmp_path: Path) -> None:
    rows = topics(1500)
    rows += [{**rows[i], "question": str(rows[i]["question"]).upper()} for i in range(0, 1500, 7)]
    config = write(tmp_path / "rows.jsonl", rows, eval_share=0.3, judge_share=0.3)
    data = prepared(config)
    for what in (
        lambda row: key_of(row["prompt"]),
        lambda row: number_of(row["prompt"]) // 5,  # its topic
        lambda row: row["group"],
    ):
        found = homes(data, what)
        assert all(len(home) == 1 for home in found.values())
        assert set().union(*found.values()) == {"train", "judge", *HELD_OUT_PARTS}
    ledger = data.ledger
    sizes = {name: len(part) for name, part in parts(data).items()}
    assert {name: size["rows"] for name, size in ledger.parts.items()} == sizes
    assert (ledger.train_rows, ledger.judge_rows) == (sizes["train"], sizes["judge"])
    assert ledger.kept == ledger.train_rows + ledger.judge_rows + ledger.eval_rows
    assert 0.2 < sizes["judge"] / (sizes["judge"] + sizes["train"]) < 0.4
    assert ledger.feeds["demonstrations"] == sizes["train"]  # what others may learn from


def test_nothing_that_others_learn_from_holds_a_prompt_of_the_judge(tmp_path: Path) -> None:
    data = prepared(write(tmp_path / "rows.jsonl", topics(400), judge_share=0.4))
    prompts = {tuple(ids) for ids in data.judge["prompt_ids"]}
    assert len(prompts) > 60
    views = (ranked_view(data.train), pairs_view(data.train), prompt_view(data.train, "prompts"))
    for view in views:
        assert not prompts & {tuple(ids) for ids in view["prompt_ids"]}
    opening = {max(prompts, key=len)}.pop()
    assert all(
        ids[: len(opening)] != list(opening) for ids in demonstration_view(data.train)["input_ids"]
    )
    assert not set(data.judge["prompt"]) & set(TEXTS)  # nor the tokenizer
    assert set(data.train["prompt"]) <= set(TEXTS)


def test_the_judge_takes_its_share_of_a_source_that_is_on_the_training_side(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", topics(300))
    write(tmp_path / "eval.jsonl", topics(400)[300:])
    sources = [
        {"source": "file", "path": str(tmp_path / f"{side}.jsonl"), "side": side}
        for side in ("train", "eval")
    ]
    data = prepared(DataConfig(sources=sources, judge_share=0.3))
    assert len(data.eval) == 100 and len(data.train) + len(data.judge) == 300
    assert 40 < len(data.judge) < 150
    assert all(len(home) == 1 for home in homes(data, lambda row: row["group"]).values())


def test_a_topic_of_a_source_held_out_whole_is_not_trained_on(tmp_path: Path) -> None:
    rows = topics(100)
    write(tmp_path / "split.jsonl", [row for i, row in enumerate(rows) if i % 5])
    write(tmp_path / "eval.jsonl", [row for i, row in enumerate(rows) if i % 5 == 0][:4])
    sources = [
        {"source": "file", "path": str(tmp_path / "split.jsonl")},
        {"source": "file", "path": str(tmp_path / "eval.jsonl"), "side": "eval"},
    ]
    data = prepared(DataConfig(sources=sources))
    trained = {number_of(prompt) // 5 for prompt in data.train["prompt"]}
    assert trained and not trained & {0, 1, 2, 3}


def test_topics_that_share_a_question_are_one_group(tmp_path: Path) -> None:
    rows = topics(200)
    rows += [{**rows[5 * i], "topic": f"topic {i + 1}"} for i in range(0, 39, 2)]  # two by two
    data = prepared(write(tmp_path / "rows.jsonl", rows, judge_share=0.3, duplicates="keep"))
    found = homes(data, lambda row: number_of(row["prompt"]) // 10)
    assert all(len(home) == 1 for home in found.values())
    groups = {
        (number_of(row["prompt"]) // 10, row["group"])
        for part in parts(data).values()
        for row in part
    }
    assert len(groups) == 20


def test_further_rows_another_order_and_no_judge_move_no_row(tmp_path: Path) -> None:
    rows = topics(400)

    def home(rows: list[dict[str, object]], **fields: float) -> dict[str, set[str]]:
        return homes(
            prepared(write(tmp_path / "rows.jsonl", rows, **fields)), lambda r: r["prompt"]
        )

    first = home(rows, judge_share=0.3)
    more = home(topics(800)[::-1], judge_share=0.3)
    assert first.items() <= more.items()
    without = home(rows)
    for prompt, parts_of_it in first.items():
        assert without[prompt] == ({"train"} if parts_of_it == {"judge"} else parts_of_it)


def test_a_share_that_leaves_the_judge_or_the_others_nothing_is_named(tmp_path: Path) -> None:
    config = write(tmp_path / "rows.jsonl", questions(12), eval_share=0.3, judge_share=1e-6)
    with pytest.raises(DataError, match=r"no rows left for the judge: .* raise data\.judge_share"):
        prepared(config)
    with pytest.raises(DataError, match=r"no training rows left: .* or data\.judge_share"):
        prepared(config.model_copy(update={"judge_share": 1 - 1e-9}))


def test_without_a_share_the_judge_has_no_rows_in_the_same_columns(tmp_path: Path) -> None:
    data = prepared(write(tmp_path / "rows.jsonl", questions(40)))
    assert len(data.judge) == 0 and data.judge.features == data.train.features
