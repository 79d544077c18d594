"""Where rows come from: kinds of file, several sources, the hub."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, IterableDataset
from pydantic import ValidationError

from rlhf_compare.data import sources
from rlhf_compare.data.config import DataConfig
from rlhf_compare.data.sources import fingerprint, open_sources
from tests.data.small_sources import (
    LINES,
    ROWS,
    config,
    demonstrations,
    fault_of,
    prepared,
    save_folder,
    written,
)

# --- kinds of file


def save_csv(path: Path) -> None:
    Dataset.from_list(ROWS).to_csv(str(path))


def save_parquet(path: Path) -> None:
    Dataset.from_list(ROWS).to_parquet(str(path))


def save_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(LINES))


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("rows.jsonl", lambda path: path.write_bytes(LINES)),
        ("rows.json", lambda path: path.write_text(json.dumps(ROWS, indent=1))),
        ("bom.jsonl", lambda path: path.write_bytes(b"\xef\xbb\xbf" + LINES)),
        ("rows.jsonl.gz", save_gzip),
        ("rows.csv", save_csv),
        ("rows.parquet", save_parquet),
        ("folder", save_folder),
    ],
)
def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path, name: str, save: Any) -> None:
    save(tmp_path / name)
    data = prepared(config(tmp_path / name))
    assert data.ledger.read == 40 and data.ledger.dropped == {}
    assert demonstrations(data) == sorted(row["answer"] for row in ROWS)
    assert prepared(config(tmp_path / name, max_rows=30)).ledger.read == 30


def test_a_bad_csv_row_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    rows = [f'"Why\n{i}?","Because"\n'.encode() for i in range(30)]  # two lines each
    path.write_bytes(b"question,answer\n" + b"".join(rows) + b'"bad \xff",x\n"short"\n')
    data = prepared(config(path, max_dropped_share=0.1))
    assert data.ledger.as_dict()["named"] == {
        "invalid_utf8": ["line 62"],
        "missing_cells": ["line 63"],
    }


def test_parquet_rows_are_named_by_their_number(tmp_path: Path) -> None:
    Dataset.from_list([*ROWS, {"question": "a", "answer": None}]).to_parquet(tmp_path / "r.parquet")
    data = prepared(config(tmp_path / "r.parquet"))
    assert data.ledger.as_dict()["named"] == {"missing_field": ["row 41"]}


def test_a_conversational_parquet(tmp_path: Path) -> None:
    rows = [
        {
            "prompt": [{"role": "user", "content": f"a{i}"}],
            "chosen": [{"role": "assistant", "content": "b"}],
            "rejected": [{"role": "assistant", "content": "c"}],
        }
        for i in range(30)
    ]
    Dataset.from_list(rows).to_parquet(tmp_path / "r.parquet")
    data = prepared(config(tmp_path / "r.parquet"))
    assert data.ledger.kept == 30 and data.train["responses"][0] == ["b", "c"]


def test_blank_lines_count_when_a_line_is_named(tmp_path: Path) -> None:
    data = written(tmp_path / "rows.jsonl", b"\n\n" + LINES + b'\n{"question": "Why?"}\n')
    assert prepared(data).ledger.as_dict()["named"] == {"missing_field": ["line 44"]}


# --- several sources


def test_prompts_and_demonstrations_of_their_own(tmp_path: Path) -> None:
    pairs = [{"prompt": f"p{i}", "chosen": "a", "rejected": "b"} for i in range(40)]
    prompts = [{"prompt": f"only {i}"} for i in range(40)]
    files = {"pairs": pairs, "prompts": prompts, "demos": ROWS}
    for name, rows in files.items():
        Dataset.from_list(rows).to_json(str(tmp_path / f"{name}.jsonl"))
    named: list[dict[str, Any]] = [
        {"source": "file", "path": str(tmp_path / f"{name}.jsonl")} for name in files
    ]
    data = prepared(DataConfig(sources=named))
    train = [
        len(data.train.filter(lambda p, s=s: p.startswith(s), input_columns="prompt"))
        for s in ("### Question: p", "### Question: only", "### Question: Why")
    ]
    assert data.ledger.feeds == {
        "demonstrations": train[0] + train[2],
        "rankings": train[0],
        "prompts": sum(train),
    }
    named[0]["feeds"] = ["rankings"]
    named[2]["feeds"] = ["demonstrations"]
    narrowed = prepared(DataConfig(sources=named)).ledger.feeds
    assert narrowed == {"demonstrations": train[2], "rankings": train[0], "prompts": train[1]}
    named[1]["feeds"] = ["demonstrations"]
    ledger = prepared(DataConfig(sources=named)).ledger
    assert ledger.dropped == {"feeds_nothing": 40}
    assert ledger.as_dict()["named"]["feeds_nothing"][0] == "prompts.jsonl, line 1"


def test_weights_keep_rows_in_proportion(tmp_path: Path) -> None:
    more = [{"question": f"Which {i}?", "answer": "That."} for i in range(200)]
    for name, rows in (("a", ROWS), ("b", more)):
        Dataset.from_list(rows).to_json(str(tmp_path / f"{name}.jsonl"))
    named = [
        {"source": "file", "path": str(tmp_path / f"{name}.jsonl"), "weight": weight}
        for name, weight in (("a", 1.0), ("b", 2.5))
    ]
    data = prepared(DataConfig(sources=named))
    assert data.ledger.dropped == {"outweighed": 100} and data.ledger.kept == 140
    again = prepared(DataConfig(sources=named))
    assert demonstrations(again) == demonstrations(data)


def test_a_prompt_on_both_named_sides_is_an_error_with_the_count(tmp_path: Path) -> None:
    held = written(
        tmp_path / "held.jsonl",
        b"".join(LINES.splitlines(True)[:3])
        .upper()
        .replace(b'"QUESTION"', b'"question"')
        .replace(b'"ANSWER"', b'"answer"'),
    )
    written(tmp_path / "rows.jsonl", LINES)
    named = [
        {"source": "file", "path": str(tmp_path / "rows.jsonl"), "side": "train"},
        {"source": "file", "path": held.path, "side": "eval"},
    ]
    message = fault_of(DataConfig(sources=named))
    assert message.startswith("data: 3 prompts (3 rows) to train on are on the evaluation side too")
    assert "rows.jsonl, number 1, held out in" in message and "data.leaks=drop" in message
    data = prepared(DataConfig(sources=named, leaks="drop"))
    assert data.ledger.dropped == {"leaked": 3}
    assert (data.ledger.train_rows, data.ledger.eval_rows) == (37, 3)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"path": "a", "source": "file", "sources": [{}]}, "belongs into each of data.sources"),
        ({"sources": [{"weight": 1.0}, {}]}, "give all of them a weight, or none"),
        ({"sources": [{"source": "file"}]}, "path: needed where source is 'file'"),
        ({"streaming": True}, "streaming: only for source 'hub'"),
        ({"feeds": []}, "feeds: name at least one"),
        ({"feeds": ["dpo"]}, "'dpo' is no kind of rows; the kinds are .*rankings, prompts"),
        ({"feeds": ["prompts", "sft"]}, "'sft' is no kind of rows.*demonstrations, rankings"),
        ({"sources": [{"feeds": ["ppo"]}]}, "'ppo' is no kind of rows"),
        ({"feeds": "reward"}, "'reward' is no kind of rows"),
        ({"feeds": ["ranking"]}, "'ranking' is no kind of rows; the kinds are demonstrations, ran"),
        ({"max_dropped_share": {"mystery": 0.1}}, "'mystery' is no reason code"),
        ({"max_dropped_share": 1.5}, "1.5 is no share"),
    ],
)
def test_sources_that_do_not_fit_together(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DataConfig(**fields)


# --- the hub


def test_the_hub_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("wrapped") from ConnectionError("no route\nmore detail")

    monkeypatch.setattr(sources, "load_dataset", refuse)
    fault = fault_of(DataConfig(source="hub", hub_id="Anthropic/hh-rlhf"))
    assert fault == (
        "data.hub_id: Anthropic/hh-rlhf (train) cannot be loaded: no route; "
        "a hub dataset needs a network, or a copy already in the local cache"
    )


def test_streaming_reads_no_more_rows_than_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    given = 0

    def rows() -> Any:
        nonlocal given
        for row in ROWS:
            given += 1
            yield row

    def load(*_: object, streaming: bool, **__: object) -> Any:
        assert streaming
        return IterableDataset.from_generator(rows)

    monkeypatch.setattr(sources, "load_dataset", load)
    fields = {"source": "hub", "hub_id": "a/b", "streaming": True, "max_rows": 20}
    opened = open_sources(DataConfig(**fields))
    given = 0
    assert [len(chunk) for chunk in opened[0].chunks()] == [20]
    assert given <= 21
    assert prepared(DataConfig(**fields)).ledger.read == 20


# --- the key under which prepared data are kept


def test_a_file_that_changed_is_noticed(tmp_path: Path) -> None:
    data = written(tmp_path / "rows.jsonl", LINES)
    before = fingerprint(data)
    assert fingerprint(data) == before
    changed = LINES.replace(b"Because 7", b"Because 8")
    written(tmp_path / "rows.jsonl", changed)
    assert len(changed) == len(LINES) and fingerprint(data) != before
    save_folder(tmp_path / "folder")
    folder = fingerprint(config(tmp_path / "folder"))
    assert folder != before
    assert fingerprint(DataConfig(sources=[data.model_dump(include={"source", "path"})])) != before


def test_a_hub_revision_changes_the_fingerprint() -> None:
    hub = {"source": "hub", "hub_id": "a/b"}
    prints = {
        fingerprint(DataConfig(**hub, **more))
        for more in ({}, {"revision": "v1"}, {"split": "test"})
    }
    assert len(prints) == 3
