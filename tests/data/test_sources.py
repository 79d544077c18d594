"""Where rows come from: every damaged source is named, with the line where there is one."""

import gzip
import json
import logging
from pathlib import Path

import pytest

from rlhf_compare.data import sources
from rlhf_compare.data.config import DataConfig
from rlhf_compare.data.sources import fingerprint, load_rows
from rlhf_compare.errors import DataError

ROW = {"question": "Why?", "answer": "Because."}
LINE = json.dumps(ROW).encode() + b"\n"


def config(path: Path, **fields: object) -> DataConfig:
    return DataConfig(source="file", path=str(path), **fields)


def written(path: Path, data: bytes) -> DataConfig:
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return config(path)


def fault_of(data: DataConfig) -> str:
    with pytest.raises(DataError) as error:
        load_rows(data)
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_reads_rows_in_their_order(tmp_path: Path, name: str) -> None:
    lines = b"".join(json.dumps({**ROW, "answer": f"{i}"}).encode() + b"\n" for i in range(5))
    rows = load_rows(written(tmp_path / name, lines))
    assert rows["answer"][:] == ["0", "1", "2", "3", "4"]
    assert load_rows(config(tmp_path / name, max_rows=2))["answer"][:] == ["0", "1"]
    assert len(load_rows(config(tmp_path / name, max_rows=99))) == 5


def test_a_file_that_changed_is_read_anew(tmp_path: Path) -> None:
    data = written(tmp_path / "rows.jsonl", LINE)
    before = fingerprint(data)
    assert len(load_rows(data)) == 1
    written(tmp_path / "rows.jsonl", LINE + LINE)
    assert len(load_rows(data)) == 2
    assert fingerprint(data) != before


def test_a_missing_file_names_the_field_and_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "none.jsonl"
    assert fault_of(config(path)) == (
        f"data.path: no such file: {path}; set it with data.path=FILE"
    )
    with pytest.raises(DataError, match="no such file"):
        fingerprint(config(path))


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    assert "expected .jsonl or .jsonl.gz" in fault_of(written(tmp_path / "rows.csv", b"a,b\n"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no rows"),
        (LINE + b"{bad\n" + LINE, "line 2: invalid JSON"),
        (LINE + b'"text"\n', "line 2: not a JSON object"),
        (b"[1]\n[2]\n", "line 1: not a JSON object"),
    ],
)
def test_the_broken_line_is_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, data: bytes, message: str
) -> None:
    logging.getLogger("datasets").addHandler(caplog.handler)  # it does not propagate
    try:
        fault = fault_of(written(tmp_path / "rows.jsonl", data))
    finally:
        logging.getLogger("datasets").removeHandler(caplog.handler)
    assert str(tmp_path / "rows.jsonl") in fault and message in fault
    assert caplog.records == []


def test_a_truncated_gzip(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    lines = (json.dumps({**ROW, "n": i**9}).encode() + b"\n" for i in range(5000))
    whole = gzip.compress(b"".join(lines))
    path.write_bytes(whole[: len(whole) // 2])
    fault = fault_of(config(path))
    assert f"{path}: damaged gzip after line " in fault and "fetch the file again" in fault


@pytest.mark.parametrize("keep", [0, 10])
def test_a_gzip_that_is_none_or_was_overwritten(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(LINE)[:keep] + b"\xff" * 40)
    assert "damaged gzip after line 0" in fault_of(config(path))


def test_the_hub_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("wrapped") from ConnectionError("no route\nmore detail")

    monkeypatch.setattr(sources, "load_dataset", refuse)
    fault = fault_of(DataConfig(source="hub", hub_id="Anthropic/hh-rlhf"))
    assert fault == (
        "data.hub_id: Anthropic/hh-rlhf (train) cannot be loaded: no route; "
        "a hub dataset needs a network, or a copy already in the local cache"
    )


def test_a_hub_revision_changes_the_fingerprint() -> None:
    hub = {"source": "hub", "hub_id": "a/b"}
    prints = {
        fingerprint(DataConfig(**hub, **more))
        for more in ({}, {"revision": "v1"}, {"split": "test"})
    }
    assert len(prints) == 3
