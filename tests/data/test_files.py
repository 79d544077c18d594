"""Files that are something else than their names say: read, or the true reason is named."""

import gzip
import json
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import Dataset
from pydantic import ValidationError

from rlhf_compare.data.config import DataConfig
from rlhf_compare.data.quiet import no_bars
from rlhf_compare.data.sources import Source, open_sources
from rlhf_compare.errors import DataError

ROWS = [{"prompt": f"Why {i}?", "chosen": f"So {i}.", "rejected": "No."} for i in range(4)]
LINES = "\n".join(map(json.dumps, ROWS))
ARRAY = json.dumps(ROWS, indent=1)
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:5a\nsize 162\n"
TABLE = "prompt{0}chosen{0}rejected\n" + "".join(
    f"Why {i}?{{0}}So {i}.{{0}}No.\n" for i in range(4)
)


def opened(path: Path, data: bytes | str | None = None, **fields: Any) -> Source:
    if data is not None:
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return open_sources(DataConfig(source="file", path=str(path), **fields))[0]


def prompts(source: Source) -> list[str]:
    rows = [row for chunk in source.chunks() for row in chunk]
    return [row["prompt"] if "prompt" in row else json.loads(row["raw"])["prompt"] for row in rows]


@pytest.mark.parametrize(
    ("name", "text", "unit"),
    [
        ("lines.jsonl", LINES, "line"),
        ("LINES.JSONL", LINES, "line"),
        ("array.jsonl", ARRAY, "element"),
        ("array.json", json.dumps(ROWS), "element"),
        ("blank.json", f"\n\n{ARRAY}", "element"),
        ("wrapped.json", json.dumps({"version": 1, "data": ROWS}, indent=1), "element"),
        ("one_line.json", json.dumps({"data": ROWS}), "element"),
        ("pretty.json", "\n".join(json.dumps(row, indent=1) for row in ROWS), "element"),
        ("commas.csv", TABLE.format(","), "line"),
        ("semicolons.csv", TABLE.format(";"), "line"),
        ("tabs.tsv", TABLE.format("\t"), "line"),
    ],
)
def test_the_same_rows(tmp_path: Path, name: str, text: str, unit: str) -> None:
    source = opened(tmp_path / name, text)
    assert source.unit == unit and prompts(source) == [row["prompt"] for row in ROWS]


def test_a_list_of_several_is_chosen_by_its_split(tmp_path: Path) -> None:
    both = json.dumps({"train": ROWS, "test": ROWS[:1]}, indent=1)
    assert len(prompts(opened(tmp_path / "rows.json", both))) == 4
    assert len(prompts(opened(tmp_path / "rows.json", both, split="test"))) == 1
    with pytest.raises(DataError, match=r"several lists: a, b; choose one with data.split"):
        opened(tmp_path / "rows.json", json.dumps({"a": ROWS, "b": ROWS}, indent=1))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("rows.jsonl", POINTER, "this is a Git LFS pointer"),
        ("rows.jsonl.gz", POINTER, "this is a Git LFS pointer"),
        ("rows.parquet", POINTER, "this is a Git LFS pointer"),
        ("rows.jsonl", LINES.encode("utf-16"), "this is UTF-16 text; write it as UTF-8"),
        ("rows.jsonl", LINES.encode("utf-16-le"), "no UTF-8 text .*UTF-16"),
        ("rows.csv", TABLE.format(",").encode("utf-16"), "this is UTF-16 text"),
        ("rows.jsonl", '{"prompt": "你好"}'.encode("gb18030"), "line 1: invalid_utf8.*GB18030"),
        ("rows.csv", "问题,回答\n你,好\n".encode("gb18030"), "its header is no UTF-8"),
        ("rows.json", b"\n<!DOCTYPE html><html>", "this is an HTML or XML page"),
        ("rows.json.gz", gzip.compress(b"<html>", mtime=0), "this is an HTML or XML page"),
        (
            "rows.jsonl",
            gzip.compress(LINES.encode(), mtime=0),
            "compressed by gzip; add .gz to its name",
        ),
        ("rows.jsonl", b"", "no rows; it is empty"),
        ("rows.jsonl", b"hello\nworld\n", "line 1: invalid_json.*one JSON object a line"),
        ("rows.jsonl", b'"a"\n"b"\n', "line 1: not_an_object"),
        ("rows.jsonl", ARRAY[:90].encode(), "begins as a JSON array, but is none"),
        ("rows.json", b'{\n"prompt": ["a", "b"], "chosen": ["c", "d"]}', "one object of columns"),
        ("rows.csv", b"prompt,response,response\na,b,c\n", "two columns are named 'response'"),
    ],
)
def test_the_true_reason_is_named(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        opened(tmp_path / name, data)
    assert "\n" not in str(error.value)


# --- folders of shards


def save_shard(folder: Path, name: str, rows: list[dict[str, str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with no_bars():
        Dataset.from_list(rows).to_parquet(str(folder / name))


def test_a_folder_of_parquet_shards(tmp_path: Path) -> None:
    save_shard(tmp_path / "data", "train-00000-of-00002.parquet", ROWS[:2])
    save_shard(tmp_path / "data", "train-00001-of-00002.parquet", ROWS[2:3])
    save_shard(tmp_path / "data", "test-00000-of-00001.parquet", ROWS[3:])
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "dataset_infos.json").write_text("{}")
    assert prompts(opened(tmp_path)) == ["Why 0?", "Why 1?", "Why 2?"]
    assert prompts(opened(tmp_path, split="test")) == ["Why 3?"]
    with pytest.raises(DataError, match="no split 'dev'; it has test, train"):
        opened(tmp_path, split="dev")
    (tmp_path / "data" / "train-00000-of-00002.parquet").unlink()
    with pytest.raises(DataError, match=r"1 of 2 files train-.*number 0 is missing"):
        opened(tmp_path)


def test_a_folder_of_lines(tmp_path: Path) -> None:
    for number, rows in ((1, ROWS[:2]), (2, ROWS[2:])):
        (tmp_path / f"part-{number}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert prompts(opened(tmp_path)) == [row["prompt"] for row in ROWS]
    (tmp_path / "other.csv").write_text("a")
    with pytest.raises(DataError, match="files of several kinds"):
        opened(tmp_path)


def test_two_data_sets_in_one_folder(tmp_path: Path) -> None:
    for name in ("helpful", "harmless"):
        save_shard(tmp_path / name, "train-00000-of-00001.parquet", ROWS)
    with pytest.raises(DataError, match=r"several data sets; name one of .*harmless"):
        opened(tmp_path)


# --- fields


def test_the_bars_are_as_they_were() -> None:
    for off in (True, False):
        (datasets.disable_progress_bars if off else datasets.enable_progress_bars)()
        with no_bars():
            assert datasets.are_progress_bars_disabled()
        assert datasets.are_progress_bars_disabled() == off


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"columns": {"promt": "x"}}, "unknown name 'promt'; did you mean prompt?"),
        ({"source": "file", "sources": [{}]}, "replace the whole section: data={sources:"),
        ({"source": "file", "path": "a", "sources": [{}]}, "replace the whole section"),
    ],
)
def test_fields_that_do_not_fit(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DataConfig(**fields)
