"""What the command line says of data, before anything trains."""

import gzip
import json
from pathlib import Path
from typing import Any

from tests.command_line import TINY, Outcome, assert_one_line, write


def pair(number: int, **fields: object) -> dict[str, object]:
    question = f"\n\nHuman: What is number {number}?\n\nAssistant: "
    return {"chosen": f"{question}It is {number}.", "rejected": f"{question}No.", **fields}


# --- data


def sft_on(run: Any, path: Path, *overrides: str) -> Outcome:
    return run("sft", "--recipe", TINY, "data.source=file", f"data.path={path}", *overrides)


def test_a_missing_data_file(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "none.jsonl"
    assert_one_line(sft_on(run, path), f"data.path: no such file: {path}", "data.path=FILE")


def test_a_truncated_gzip(run: Any, tmp_path: Path) -> None:
    whole = gzip.compress(write(tmp_path / "x", [pair(i**5) for i in range(3000)]).read_bytes())
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(whole[: len(whole) // 2])
    assert_one_line(sft_on(run, path), path, "damaged gzip after line", "fetch the file again")


def test_rows_without_chosen_or_with_something_else(run: Any, tmp_path: Path) -> None:
    rows = [pair(i) for i in range(9)]
    missing = write(tmp_path / "a.jsonl", [*rows[:6], {"rejected": "x"}, *rows[6:]])
    assert_one_line(sft_on(run, missing), missing, "line 7: no field 'chosen'", "mend the rows")
    number = write(tmp_path / "b.jsonl", [*rows[:6], pair(6, chosen=5), *rows[6:]])
    assert_one_line(sft_on(run, number), number, "line 7", "field 'chosen' is int, expected text")


def test_nothing_left_after_filtering(run: Any, tmp_path: Path) -> None:
    prefixed = "\n\nHuman: a\n\nAssistant: Let me explain. Yes."
    path = write(tmp_path / "a.jsonl", [pair(i, chosen=prefixed) for i in range(5)])
    assert_one_line(sft_on(run, path), path, "nothing left", "5 already_prefixed")
    path = write(tmp_path / "b.jsonl", [pair(i) for i in range(30)])
    assert_one_line(sft_on(run, path, "data.max_length=5"), path, "30 too_long")


def test_data_is_shown_before_anyone_trains(run: Any, tmp_path: Path) -> None:
    rows = [pair(i) for i in range(40)]
    bad = {"chosen": "\n\nHuman: a\n\nAssistant: ", "rejected": "\n\nHuman: a\n\nAssistant: b"}
    path = write(tmp_path / "rows.jsonl", [*rows, bad])
    outcome = run("data", "--recipe", TINY, "data.source=file", f"data.path={path}")
    assert (outcome.code, outcome.err) == (0, "")
    assert "41 rows read, 40 kept" in outcome.out and "line 41" in outcome.out
    again = run("data", "--recipe", TINY, "data.source=file", f"data.path={path}")  # kept
    for screen in (outcome.out, again.out):
        words = " ".join(screen.split())
        for once in ("read as hh transcripts", "41 rows read", "train rows", "rows to train on:"):
            assert words.count(once) == 1
    assert outcome.out.count("demonstration: It is") == 5  # five examples, then as tokens
    tokens = outcome.out.replace("\n", " ")
    assert tokens.count("| ") >= 15  # demonstration, best, worst: prompt | response
    assert tokens.count("<|endoftext|> ") == 15
    folder = tmp_path / "reports" / "tiny" / "data"
    report = json.loads((folder / "data_report.json").read_text())
    (reason,) = report["dropped"]
    assert (reason["reason"], reason["count"], reason["named"]) == ("empty_chosen", 1, ["line 41"])
    assert reason["examples"][0]["excerpt"].startswith('{"chosen": "\\n\\nHuman: a')
    assert sum(report["lengths"]["prompt"]["counts"]) == report["read"] - 1
    assert (folder / "lengths.png").read_bytes().startswith(b"\x89PNG")
    assert "prompt + longest response" in (folder / "lengths.svg").read_text()
    assert [p.name for p in (tmp_path / "runs" / "tiny").iterdir()] == ["data"]  # nothing trained


def test_a_stage_without_its_rows_says_so_before_anything_trains(run: Any, tmp_path: Path) -> None:
    rows = [{"question": f"q{i}", "answer": "a"} for i in range(40)]
    path = write(tmp_path / "rows.jsonl", rows)
    source = ("data.source=file", f"data.path={path}", "task.name=preference")
    outcome = run("dpo", "--recipe", TINY, *source)
    assert_one_line(outcome, "no row feeds rankings, which dpo needs", "data.sources")
    assert not (tmp_path / "runs" / "tiny" / "sft").exists()
