"""What a command printed."""

import json
from dataclasses import dataclass
from pathlib import Path

TINY = Path(__file__).resolve().parents[1] / "recipes" / "tiny.yaml"


@dataclass
class Outcome:
    code: object
    out: str
    err: str


def assert_one_line(outcome: Outcome, *parts: object) -> None:
    assert outcome.code == 2, outcome
    assert outcome.err.startswith("error: ") and outcome.err.count("\n") == 1, outcome.err
    for part in parts:
        assert str(part) in outcome.err


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
