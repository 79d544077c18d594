"""The first pass over all rows: each is parsed, its texts go to disk, its numbers stay here."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from rlhf_compare.data.chunks import KEYS, PARSED, from_file, map_rows
from rlhf_compare.data.config import DataConfig, TaskConfig
from rlhf_compare.data.ledger import NAMED, DroppedRow, Ledger
from rlhf_compare.data.parse import ParseSettings, parse_row_or_reason
from rlhf_compare.data.selection import RowIndex, reason_codes
from rlhf_compare.data.sources import Source


@dataclass
class Chunks:
    """The texts of all rows read, in files."""

    work: Path
    files: list[tuple[Path, slice]] = field(default_factory=list)  # and their rows in the index

    def add(self, rows: Dataset, function: Any, num_proc: int) -> Dataset:
        """Map a chunk of raw rows to their parsed, into the next file."""
        path = self.work / f"{len(self.files):05}.arrow"
        start = self.files[-1][1].stop if self.files else 0
        self.files.append((path, slice(start, start + len(rows))))
        return map_rows(rows, function, PARSED, num_proc, path)

    def kept(self, index: RowIndex) -> Iterator[tuple[Dataset, np.ndarray]]:
        """The kept rows of each chunk, and their positions in the index."""
        for path, span in self.files:
            rows = np.flatnonzero(index.kept[span])
            if len(rows):
                yield from_file(path).select(rows), rows + span.start


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
    for which, source in enumerate(sources):
        settings = ParseSettings.of(data, source.config, source.layout, task, tokenizer)
        parse, before = _ParseRows(settings, by_line=source.rows is None), 0
        for chunk in source.chunks():
            parsed = chunks.add(chunk, parse, data.num_proc)
            numbers = np.arange(before + 1, before + len(chunk) + 1)
            if source.rows is None:
                numbers = np.array(chunk["number"])
            before += len(chunk)
            reasons = parsed["reason"][:]
            _enter(ledger, source, len(sources) > 1, numbers, parsed, reasons)
            columns["source"].append(np.full(len(chunk), which, np.int16))
            columns["number"].append(numbers)
            columns["code"].append(reason_codes(reasons))
            for key in KEYS:
                columns[key].append(parsed.data[key].to_numpy())
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
    parsed: Dataset,
    reasons: list[str],
) -> None:
    """Enter a chunk's rows."""
    ledger.read += len(reasons)
    names = np.array(reasons)
    for reason in sorted(set(reasons) - {""}):
        rows = np.flatnonzero(names == reason)
        first = parsed.select_columns(["detail", "excerpt"]).select(rows[:NAMED])
        dropped = [
            DroppedRow(where(source, int(number), several), row["detail"], row["excerpt"])
            for number, row in zip(numbers[rows], first, strict=False)
        ]
        ledger.drop(reason, len(rows), dropped)


class _ParseRows:
    """``parse_row_or_reason`` over a batch (a class, so that ``datasets`` can pickle it)."""

    def __init__(self, settings: ParseSettings, by_line: bool) -> None:
        self.settings, self.by_line = settings, by_line

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, Any]:
        if self.by_line:
            rows = batch["raw"]
        else:
            by_row = zip(*batch.values(), strict=True)
            rows = [dict(zip(batch, values, strict=True)) for values in by_row]
        parsed = [parse_row_or_reason(row, self.settings) for row in rows]
        return {name: [row[name] for row in parsed] for name in PARSED}
