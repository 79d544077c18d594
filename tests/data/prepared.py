"""Small sources and what was prepared from them."""

import json
from collections.abc import Sequence
from pathlib import Path

from rlhf_compare.data.config import DataConfig
from rlhf_compare.data.prepare import PreparedData
from rlhf_compare.data.splits import is_held_out, split_hash


def write(path: Path, rows: Sequence[dict[str, object]], **fields: object) -> DataConfig:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return DataConfig(source="file", path=str(path), **fields)


def questions(n: int) -> list[dict[str, object]]:
    return [{"question": f"What is number {i}?", "answer": f"It is {i}."} for i in range(n)]


def held_out(key: object) -> bool:
    return bool(is_held_out(split_hash(str(key)), 0.2))


def both_sides(prepared: PreparedData) -> list[dict[str, object]]:
    return [*prepared.train, *prepared.eval]
