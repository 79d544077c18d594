"""A damaged source is named, with its line where there is one."""

import gzip
import json
from pathlib import Path

import pytest

from rlhf_compare.data.sources import fingerprint
from rlhf_compare.errors import DataError
from tests.data.small_sources import (
    HEAD,
    LINES,
    ROWS,
    config,
    fault_of,
    prepared,
    save_folder,
    written,
)

# --- what is wrong with a source


def test_a_missing_file_names_the_field_and_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "none.jsonl"
    assert fault_of(config(path)) == (
        f"data.path: no such file: {path}; set it with data.path=FILE"
    )
    with pytest.raises(DataError, match="no such file"):
        fingerprint(config(path))


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    assert "rows.txt: expected .jsonl" in fault_of(written(tmp_path / "rows.txt", b"a"))
    assert "none that save_to_disk wrote" in fault_of(config(tmp_path))
    assert "r.parquet: cannot be read" in fault_of(written(tmp_path / "r.parquet", b"PAR1"))
    save_folder(tmp_path / "folder")
    assert "has no split 'test'; it has train" in fault_of(
        config(tmp_path / "folder", split="test")
    )


def test_columns_of_no_format(tmp_path: Path) -> None:
    fault = fault_of(written(tmp_path / "rows.jsonl", b'{"text": "a", "id": 1}\n'))
    assert "columns id, text: no known format; known are chosen + rejected" in fault


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no rows"),
        (b"\n\n", "no rows"),
        (HEAD + b"{bad\n" + LINES, "invalid_json, first in line 4: column"),
        (HEAD + b'"text"\n', "1 not_an_object, first in line 4: it is str"),
        (HEAD + b'{"question": "\xff"}\n', "1 invalid_utf8, first in line 4: byte 15"),
    ],
)
def test_too_many_bad_lines_stop_the_run_and_name_the_first(
    tmp_path: Path, data: bytes, message: str
) -> None:
    fault = fault_of(written(tmp_path / "rows.jsonl", data, max_dropped_share=0.01))
    assert str(tmp_path / "rows.jsonl") in fault and message in fault


def test_a_truncated_gzip(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    lines = (json.dumps({**ROWS[0], "n": i**9}).encode() + b"\n" for i in range(5000))
    whole = gzip.compress(b"".join(lines))
    path.write_bytes(whole[: len(whole) // 2])
    fault = fault_of(config(path))
    assert f"{path}: damaged gzip after line " in fault and "fetch the file again" in fault


@pytest.mark.parametrize("keep", [0, 10])
def test_a_gzip_that_is_none_or_was_overwritten(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(LINES)[:keep] + b"\xff" * 40)
    assert "damaged gzip after line 0" in fault_of(config(path))


def test_a_csv_row_with_too_many_cells_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    rows = [f"Why {i}?,Because {i}.\n" for i in range(40)]
    path.write_text("question,answer\n" + "".join(rows) + "Why?,Because, that is why.\n")
    data = prepared(config(path))
    assert data.ledger.as_dict()["named"] == {"extra_cells": ["line 42"]}
