"""Where rows come from, in chunks, so that data larger than memory work.

Text files are read line by line, everything else through ``datasets`` (memory-mapped).
"""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

from datasets import (
    Dataset,
    DatasetDict,
    load_dataset,
    load_from_disk,
)
from datasets import logging as datasets_logging

from rlhf_compare.data.beginnings import is_parquet, refuse_other_kinds
from rlhf_compare.data.config import DataConfig, SourceConfig
from rlhf_compare.data.formats import Layout, LayoutError, Row, recognise
from rlhf_compare.data.lines import SUFFIXES, TABLES, kind_of, read_lines, unit_of
from rlhf_compare.data.parse import parse_json
from rlhf_compare.data.quiet import no_bars
from rlhf_compare.data.reasons import REASONS, RowDropError
from rlhf_compare.data.shards import check_columns, shards_of
from rlhf_compare.data.tables import no_header
from rlhf_compare.errors import DataError, first_line

# A chunk is what is in memory at once; large enough that starting processes for it costs little.
CHUNK_BYTES = 64 * 2**20
CHUNK_ROWS = 100_000
_EXCERPT = 60  # characters of a line that a message shows
_SAMPLE = 100  # rows whose columns tell the format
_WAYS_OUT = {
    "invalid_utf8": "write the file as UTF-8 (iconv -f GB18030 -t UTF-8, or from its encoding)",
    **dict.fromkeys(
        ("extra_cells", "missing_cells"),
        "a cell that holds a comma, a quote or a line break stands in quotes",
    ),
    "not_an_object": "write one JSON object a line, with a name for each text",
}


@dataclass(frozen=True)
class Source:
    """An opened source. ``rows`` is None where it is read line by line."""

    config: SourceConfig
    name: str
    unit: str  # what the number of a row counts: line, row, or element of an array
    layout: Layout  # which column is what
    rows: Dataset | None = None
    files: tuple[Path, ...] = ()  # read line by line, one after the other

    def chunks(self) -> Iterator[Dataset]:
        """All rows in their order. Columns: ``number`` and ``raw`` (bytes of a JSON object), or
        the source's own where it has columns."""
        if self.rows is not None:
            size = max(
                1, min(CHUNK_ROWS, CHUNK_BYTES * len(self.rows) // (self.rows.size_in_bytes or 1))
            )
            for start in range(0, len(self.rows), size):
                yield self.rows.select(range(start, min(start + size, len(self.rows))))
            return
        numbers: list[int] = []
        raws: list[bytes] = []
        size = 0
        for number, raw in _lines(self.config, self.files):
            numbers.append(number)
            raws.append(raw)
            size += len(raw)
            if size >= CHUNK_BYTES or len(raws) >= CHUNK_ROWS:
                yield Dataset.from_dict({"number": numbers, "raw": raws})
                numbers, raws, size = [], [], 0
        if raws:
            yield Dataset.from_dict({"number": numbers, "raw": raws})


def open_sources(config: DataConfig) -> list[Source]:
    """All sources of a recipe, each with its format.

    Raises:
        DataError: a source is missing, damaged or empty, or its columns fit no format.
    """
    return [_open(source) for source in config.all_sources]


def _open(config: SourceConfig) -> Source:
    name = describe(config)
    rows = None
    files: tuple[Path, ...] = ()
    if config.source == "file":
        files = _files(Path(str(config.path)), config.split)
        for file in files:
            refuse_other_kinds(file)
    elif config.source == "embedded":
        files = (_embedded_path(),)
    if config.source == "hub" and not config.streaming:
        rows = _hub(config)
    elif config.source == "file" and (not files or kind_of(files[0]) is None):
        rows, files = _columns(config, files), ()
    if rows is not None and config.max_rows is not None:
        rows = rows.select(range(min(config.max_rows, len(rows))))
    sample = list(rows.select(range(min(_SAMPLE, len(rows))))) if rows is not None else None
    unit = "line" if files else "row"
    if len(files) == 1:
        unit = unit_of(files[0])
    elif files:
        unit = "row"
    if sample is None:
        sample = _sample(config, files, name, unit)
    if not sample:
        raise DataError(f"{name}: no rows; it is empty")
    try:
        layout = recognise(sample, config.format, {str(r): n for r, n in config.columns.items()})
    except LayoutError as error:
        table = files and kind_of(files[0]) in TABLES
        fault = (table and no_header(list(map(str, sample[0])))) or str(error)
        raise DataError(f"{name}: {_printable(fault)}") from error
    return Source(config, name, unit, layout, rows, files)


def _lines(config: SourceConfig, files: tuple[Path, ...]) -> Iterator[tuple[int, bytes]]:
    if config.source == "hub":
        stream = _hub(config)
        lines = (
            (i, json.dumps(row, default=str).encode()) for i, row in enumerate(stream, start=1)
        )
        return islice(lines, config.max_rows)
    rows: Iterator[tuple[int, bytes]] = (
        read_lines(files[0], config.split)
        if len(files) == 1
        else enumerate((raw for file in files for _, raw in read_lines(file, config.split)), 1)
    )
    return islice(rows, config.max_rows)


def _sample(config: SourceConfig, files: tuple[Path, ...], name: str, unit: str) -> list[Row]:
    """The first rows that can be parsed.

    Raises:
        DataError: there are rows, but none of the first can be parsed: no column is known then.
    """
    rows: list[Row] = []
    fault = ""
    for number, raw in islice(_lines(config, files), _SAMPLE):
        try:
            rows.append(parse_json(raw))
        except RowDropError as drop:  # counted when all rows are read
            detail = f" ({drop.detail})" if drop.detail else ""
            start = raw[:_EXCERPT].decode(errors="replace")
            seen = f", it begins {start!r}" if drop.reason == "invalid_json" else ""
            fault = fault or f"{unit} {number}: {drop.reason}, {REASONS[drop.reason]}{detail}{seen}"
    if fault and not rows:
        hint = _WAYS_OUT.get(fault.split(": ")[1].split(",")[0], "write one JSON object a line")
        raise DataError(f"{name}: none of the first rows can be read, {_printable(fault)}; {hint}")
    return rows


def _printable(text: str) -> str:
    """Half characters, of a file in another encoding, as escapes."""
    return text.encode(errors="backslashreplace").decode().replace("\n", " ")


def describe(config: SourceConfig) -> str:
    """The source in words, for messages."""
    if config.source == "embedded":
        return "embedded corpus"
    return str(config.path if config.source == "file" else f"{config.hub_id} ({config.split})")


def fingerprint(config: DataConfig) -> str:
    """SHA-256 that changes when the rows would: of the bytes, or of a hub id and its revision."""
    prints = [_fingerprint(source) for source in config.all_sources]
    return prints[0] if len(prints) == 1 else _sha256("\n".join(prints).encode())


def _fingerprint(config: SourceConfig) -> str:
    if config.source == "hub":
        return _sha256(f"{config.hub_id}@{config.revision}:{config.split}".encode())
    path = Path(str(config.path)) if config.source == "file" else _embedded_path()
    _require_file(path)
    return hash_files(
        sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    )


def hash_files(paths: list[Path]) -> str:
    """SHA-256 of the files' bytes, one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _sha256(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _embedded_path() -> Path:
    return Path(str(files("rlhf_compare.data") / "corpus" / "questions.jsonl"))


def _require_file(path: Path) -> None:
    if not path.exists():
        raise DataError(f"data.path: no such file: {path}; set it with data.path=FILE")
    if not os.access(path, os.R_OK):
        raise DataError(f"data.path: {path} is not readable")
    if path.is_file() and not is_parquet(path) and kind_of(path) is None:
        raise DataError(
            f"data.path: {path.name}: expected {', '.join(SUFFIXES)} (each also .gz), .parquet, "
            "or a folder of such files or of save_to_disk"
        )


def _files(path: Path, split: str) -> tuple[Path, ...]:
    """The files to read; none for a folder of ``save_to_disk``."""
    _require_file(path)
    if path.is_file():
        return (path,)
    if any((path / name).is_file() for name in ("state.json", "dataset_dict.json")):
        return ()
    return tuple(shards_of(path, split))


def _columns(config: SourceConfig, files: tuple[Path, ...]) -> Dataset:
    """Parquet files, or a folder of ``save_to_disk``."""
    path = str(config.path)
    verbosity = datasets_logging.get_verbosity()
    datasets_logging.set_verbosity(datasets_logging.CRITICAL)  # what is wrong is said below, once
    try:
        with no_bars():
            if files:
                check_columns(files)
                return load_dataset("parquet", data_files=list(map(str, files)), split="train")
            loaded = load_from_disk(path)
    except DataError:
        raise
    except Exception as error:  # datasets wraps every cause in its own generic error
        raise DataError(f"{path}: cannot be read: {_root_cause(error)}") from error
    finally:
        datasets_logging.set_verbosity(verbosity)
    if not isinstance(loaded, DatasetDict):
        return loaded
    if config.split not in loaded:
        raise DataError(
            f"data.split: {path} has no split {config.split!r}; it has {', '.join(loaded)}"
        )
    return loaded[config.split]


def _hub(config: SourceConfig) -> Any:
    try:
        return load_dataset(
            config.hub_id, split=config.split, revision=config.revision, streaming=config.streaming
        )
    except Exception as error:  # many kinds: offline, unknown id, gated, unknown split
        raise DataError(
            f"data.hub_id: {describe(config)} cannot be loaded: {_root_cause(error)}; "
            "a hub dataset needs a network, or a copy already in the local cache"
        ) from error


def _root_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)
