"""Chunks of rows on disk, with typed columns."""

from pathlib import Path
from secrets import token_hex
from typing import Any

import pyarrow as pa
from datasets import Dataset, Features, List, Value, concatenate_datasets

_STRING, _KEY, _IDS = Value("string"), Value("uint64"), List(Value("int32"))
TEXTS = {
    "prompt": _STRING,
    "responses": List(_STRING),
    "scores": List(Value("float64")),
    "demonstration": _STRING,
    "feeds": List(_STRING),
}
KEYS = ("key", "prompt_key", "loose_key", "content")
PARSED = Features(
    {
        **dict.fromkeys(("reason", "detail", "excerpt"), _STRING),
        **TEXTS,
        **dict.fromkeys(KEYS, _KEY),
    }
)
_ENCODED_IDS = {"prompt_ids": _IDS, "response_ids": List(_IDS), "demonstration_ids": _IDS}
ENCODED = {**TEXTS, **_ENCODED_IDS}
WRITTEN = Features({**ENCODED, "group": _KEY})  # the columns of prepared rows
LENGTHS = ("prompt_tokens", "longest_tokens")
FITTED = Features(
    {
        "reason": _STRING,
        "spelled": Value("bool"),
        **ENCODED,
        **dict.fromkeys(LENGTHS, Value("int32")),
    }
)
_BATCH = 500  # rows that a process parses or encodes at once


def map_rows(
    rows: Dataset, function: Any, features: Features, num_proc: int, path: Path
) -> Dataset:
    """New columns for all rows, written to ``path``.

    Args:
        function: a batch of columns to the columns that ``features`` names.
    """
    processes = num_proc if num_proc > 1 and len(rows) >= 4 * _BATCH else None
    return rows.map(
        _Typed(function, features),
        batched=True,
        batch_size=_BATCH,
        remove_columns=rows.column_names,
        features=features,
        num_proc=processes,
        cache_file_name=str(path),
        new_fingerprint=token_hex(8),  # nothing is looked up by it; hashing a tokenizer costs
    )


class _Typed:
    """Gives a function's columns their types at once; ``datasets`` would infer them, then cast."""

    def __init__(self, function: Any, features: Features) -> None:
        self.function, self.schema = function, features.arrow_schema

    def __call__(self, batch: dict[str, list[Any]]) -> pa.Table:
        columns = self.function(batch)
        arrays = [
            pa.array(columns[name], self.schema.field(name).type) for name in self.schema.names
        ]
        return pa.Table.from_arrays(arrays, schema=self.schema)


def from_file(path: Path) -> Dataset:
    """What :func:`map_rows` wrote, by one process or by several."""
    paths = [path] if path.exists() else sorted(path.parent.glob(f"{path.stem}_*{path.suffix}"))
    return concatenate_datasets([Dataset.from_file(str(p)) for p in paths])
