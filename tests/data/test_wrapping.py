"""Rows wrapped in objects, shards of several splits, and files that are no data at all."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from pydantic import ValidationError

from rlhf_compare.data.config import DataConfig
from rlhf_compare.data.quiet import no_bars
from rlhf_compare.data.sources import Source, open_sources
from rlhf_compare.errors import DataError

ROWS = [{"prompt": f"Why {i}?", "chosen": f"So {i}.", "rejected": "No."} for i in range(4)]
LINES = "\n".join(map(json.dumps, ROWS))
COLUMNS = {name: [row[name] for row in ROWS] for name in ROWS[0]}
BY_NUMBER = {name: dict(enumerate(column)) for name, column in COLUMNS.items()}


def opened(path: Path, data: bytes | str | None = None, **fields: Any) -> Source:
    if data is not None:
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return open_sources(DataConfig(source="file", path=str(path), **fields))[0]


def count(source: Source) -> int:
    return sum(len(chunk) for chunk in source.chunks())


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize(
    "value",
    [
        {"version": "1.0", "results": ROWS},
        {"questions": ROWS},
        {"data": {"train": ROWS}},
        {"features": [{"name": "prompt"}],
         "rows": [{"row_idx": i, "row": row, "truncated_cells": []} for i, row in enumerate(ROWS)]},
    ],
)  # fmt: skip
def test_wrapped_rows(tmp_path: Path, value: Any, indent: int | None) -> None:
    assert count(opened(tmp_path / "rows.json", json.dumps(value, indent=indent))) == 4


def test_one_row_is_no_wrapping(tmp_path: Path) -> None:
    row = {
        "prompt": "Why?",
        "instances": [{"text": "So.", "score": 1}, {"text": "No.", "score": 0}],
    }
    source = opened(tmp_path / "rows.json", json.dumps(row), columns={"responses": "instances"})
    assert source.layout.format == "ranked" and count(source) == 1
    said = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
    pair = {"chosen": said, "rejected": [said[0], {"role": "assistant", "content": "No."}]}
    assert count(opened(tmp_path / "rows.json", json.dumps(pair, indent=1))) == 1


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("value", [COLUMNS, BY_NUMBER])
@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_an_object_of_columns_is_named(
    tmp_path: Path, name: str, value: Any, indent: int | None
) -> None:
    with pytest.raises(DataError, match=r"one object of columns \(prompt, chosen, rejected\)"):
        opened(tmp_path / name, json.dumps(value, indent=indent))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("rows.jsonl.gz", LINES.encode(), "not compressed by gzip; take .gz off its name"),
        ("rows.csv.gz", b"prompt,chosen\n", "not compressed by gzip"),
        ("rows.jsonl", b"Invalid username or password.", "begins 'Invalid username or pass"),
        ("rows.jsonl", b"<Error><Code>AccessDenied</Code></Error>", "an HTML or XML page"),
        ("rows.json", b'{"error": "no such data set"}', "columns error: no known format"),
        ("rows.jsonl", b"{}\n{}\n", "its rows have no fields"),
    ],
)
def test_the_true_reason_is_named(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        opened(tmp_path / name, data)


def test_the_case_of_a_name_does_not_count(tmp_path: Path) -> None:
    assert count(opened(tmp_path / "ROWS.JSONL.GZ", gzip.compress(LINES.encode()))) == 4
    with no_bars():
        Dataset.from_list(ROWS).to_parquet(str(tmp_path / "ROWS.PARQUET"))
    assert count(opened(tmp_path / "ROWS.PARQUET")) == 4


def save(folder: Path, name: str, rows: list[dict[str, str]]) -> None:
    folder.mkdir(exist_ok=True)
    with no_bars():
        Dataset.from_list(rows).to_parquet(str(folder / f"{name}-00000-of-00001.parquet"))


def test_splits_of_two_words_are_not_mixed(tmp_path: Path) -> None:
    for name, rows in (("train_prefs", ROWS), ("train_sft", ROWS[:3]), ("test_prefs", ROWS[:2])):
        save(tmp_path / "data", name, rows)
    assert count(opened(tmp_path, split="train_prefs")) == 4
    assert count(opened(tmp_path, split="test")) == 2
    with pytest.raises(DataError, match=r"data.split: .*train_prefs, train_sft; name one of them"):
        opened(tmp_path)
    with pytest.raises(DataError, match=r"no split 'dev'; it has test_prefs, train_prefs, train_s"):
        opened(tmp_path, split="dev")


def test_numbered_files_of_a_split_belong_together(tmp_path: Path) -> None:
    for name, rows in (("train", ROWS[:2]), ("train2", ROWS[2:]), ("train-03", ROWS[:1])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert count(opened(tmp_path)) == 5


def test_shards_with_other_columns_are_named(tmp_path: Path) -> None:
    for number, rows in enumerate([ROWS, [{"prompt": "Why?", "response": "So."}]]):
        with no_bars():
            Dataset.from_list(rows).to_parquet(str(tmp_path / f"part-{number}.parquet"))
    with pytest.raises(DataError, match=r"part-0.* and part-1.* \(chosen, rejected, resp"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"prompt": ""}, "prompt names no column"),
        ({"responses": []}, "responses names no column"),
        ({"prompt": ["a", "b"]}, "prompt is one column"),
        ({"chosen": ["a", "b"]}, "chosen is one column"),
        ({"chosen": "a", "rejected": "a"}, "'a' is named for chosen and rejected"),
        ({"responses": ["a", "a"]}, "'a' is named for responses twice"),
    ],
)
def test_columns_that_cannot_be_meant(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DataConfig(columns=columns)
