"""The first pass: the fate of every row, its texts on disk, its numbers in memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from rlhf_compare.data.chunks import FATE, KEYS, from_file, map_rows
from rlhf_compare.data.config import DataConfig, TaskConfig
from rlhf_compare.data.fate import Rules, row_fate
from rlhf_compare.data.ledger import NAMED, Ledger, Place
from rlhf_compare.data.selection import RowIndex, reason_codes
from rlhf_compare.data.sources import Source


@dataclass
class Chunks:
    """The texts of all rows read, in files."""

    work: Path
    files: list[tuple[Path, slice]] = field(default_factory=list)  # and their rows in the index

    def add(self, rows: Dataset, function: Any, num_proc: int) -> Dataset:
        """Map a chunk of raw rows to their fates, into the next file."""
        path = self.work / f"{len(self.files):05}.arrow"
        start = self.files[-1][1].stop if self.files else 0
        self.files.append((path, slice(start, start + len(rows))))
        return map_rows(rows, function, FATE, num_proc, path)

    def kept(self, index: RowIndex) -> Iterator[tuple[Dataset, np.ndarray]]:
        """The kept rows of each chunk, and their places in the index."""
        for path, places in self.files:
            rows = np.flatnonzero(index.kept[places])
            if len(rows):
                yield from_file(path).select(rows), rows + places.start


def read_rows(
    data: DataConfig,
    task: TaskConfig,
    tokenizer: Any,
    sources: list[Source],
    chunks: Chunks,
    ledger: Ledger,
    progress: Callable[[int], object],
) -> RowIndex:
    """Read every source to its end.

    Args:
        tokenizer: needed with ``task.chat_template``, else None.
        chunks: where the texts go.
        ledger: where the rows are entered.
        progress: called with the number of rows of each chunk done.

    Raises:
        DataError: a source is damaged.
    """
    columns: dict[str, list[Any]] = {name: [] for name in ("source", "number", "code", *KEYS)}
    for place, source in enumerate(sources):
        rules = Rules.of(data, source.config, source.layout, task, tokenizer)
        fates_of, before = _Fates(rules, by_line=source.rows is None), 0
        for chunk in source.chunks():
            fates = chunks.add(chunk, fates_of, data.num_proc)
            numbers = np.arange(before + 1, before + len(chunk) + 1)
            if source.rows is None:
                numbers = np.array(chunk["number"])
            before += len(chunk)
            reasons = fates["reason"][:]
            _enter(ledger, source, len(sources) > 1, numbers, fates, reasons)
            columns["source"].append(np.full(len(chunk), place, np.int16))
            columns["number"].append(numbers)
            columns["code"].append(reason_codes(reasons))
            for key in KEYS:
                columns[key].append(fates.data[key].to_numpy())
            progress(len(chunk))
    return RowIndex(**{name: np.concatenate(parts) for name, parts in columns.items()})


def where(source: Source, number: int, several: bool) -> str:
    """Where a row stands, in words."""
    place = f"{source.unit} {number}"
    return f"{Path(source.name).name}, {place}" if several else place


def _enter(
    ledger: Ledger,
    source: Source,
    several: bool,
    numbers: np.ndarray,
    fates: Dataset,
    reasons: list[str],
) -> None:
    """Enter a chunk's rows."""
    ledger.read += len(reasons)
    names = np.array(reasons)
    for reason in sorted(set(reasons) - {""}):
        rows = np.flatnonzero(names == reason)
        first = fates.select_columns(["detail", "excerpt"]).select(rows[:NAMED])
        places = [
            Place(where(source, int(number), several), row["detail"], row["excerpt"])
            for number, row in zip(numbers[rows], first, strict=False)
        ]
        ledger.drop(reason, len(rows), places)


class _Fates:
    """``row_fate`` over a batch (a class, so that ``datasets`` can pickle it)."""

    def __init__(self, rules: Rules, by_line: bool) -> None:
        self.rules, self.by_line = rules, by_line

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, Any]:
        if self.by_line:
            rows = batch["raw"]
        else:
            by_row = zip(*batch.values(), strict=True)
            rows = [dict(zip(batch, values, strict=True)) for values in by_row]
        fates = [row_fate(row, self.rules) for row in rows]
        return {name: [fate[name] for fate in fates] for name in FATE}
