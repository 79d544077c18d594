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
    disable_progress_bars,
    enable_progress_bars,
    load_dataset,
    load_from_disk,
)
from datasets import logging as datasets_logging

from rlhf_compare.data.config import DataConfig, SourceConfig
from rlhf_compare.data.fate import parse_json
from rlhf_compare.data.formats import Row, recognise
from rlhf_compare.data.lines import kind_of, read_lines
from rlhf_compare.data.reasons import RowDropError
from rlhf_compare.errors import DataError

# A chunk is what is in memory at once; large enough that starting processes for it costs little.
CHUNK_BYTES = 64 * 2**20
CHUNK_ROWS = 100_000
_SAMPLE = 100  # rows whose columns tell the format
_FORMATS = (
    "chosen + rejected (hh transcripts; or TRL's preference format, with or without prompt), "
    "prompt + responses + scores, prompt + completion, question + answer, messages, prompt"
)


@dataclass(frozen=True)
class Source:
    """An opened source. ``rows`` is None where it is read line by line."""

    config: SourceConfig
    name: str
    unit: str  # what the number of a row counts: line, or row
    format: str
    rows: Dataset | None = None

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
        for number, raw in _lines(self.config):
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
    if config.source == "file":
        _require_file(Path(str(config.path)))
    if config.source == "hub" and not config.streaming:
        rows = _hub(config)
    elif config.source == "file" and kind_of(Path(str(config.path))) is None:
        rows = _columns(config)
    if rows is not None and config.max_rows is not None:
        rows = rows.select(range(min(config.max_rows, len(rows))))
    sample = list(rows.select(range(min(_SAMPLE, len(rows))))) if rows is not None else None
    if sample is None:
        sample = _sample(config)
    if not sample and next(iter(rows if rows is not None else _lines(config)), None) is None:
        raise DataError(f"{name}: no rows")
    format_name = config.format if config.format != "auto" else recognise(sample)
    if format_name is None:
        columns = ", ".join(sorted({str(c) for row in sample for c in row})[:20]) or "none"
        raise DataError(
            f"{name}: columns {columns}: no known format; known are {_FORMATS}; rename the "
            "columns, or name a format in data.format"
        )
    unit = "row" if rows is not None or config.source == "hub" else "line"
    return Source(config, name, unit, format_name, rows)


def _lines(config: SourceConfig) -> Iterator[tuple[int, bytes]]:
    if config.source == "hub":
        stream = _hub(config)
        lines = (
            (i, json.dumps(row, default=str).encode()) for i, row in enumerate(stream, start=1)
        )
        return islice(lines, config.max_rows)
    path = _embedded_path() if config.source == "embedded" else Path(str(config.path))
    return islice(read_lines(path), config.max_rows)


def _sample(config: SourceConfig) -> list[Row]:
    rows = []
    for _, raw in islice(_lines(config), _SAMPLE):
        try:
            rows.append(parse_json(raw))
        except RowDropError:  # counted when all rows are read
            continue
    return rows


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
    known = path.name.endswith(".parquet") or kind_of(path) is not None
    if path.is_dir():
        if not any((path / name).is_file() for name in ("state.json", "dataset_dict.json")):
            raise DataError(f"data.path: {path} is a folder, but none that save_to_disk wrote")
    elif not known:
        raise DataError(
            f"data.path: {path.name}: expected .jsonl, .json, .csv (each also .gz), .parquet, or a "
            "folder of save_to_disk"
        )


def _columns(config: SourceConfig) -> Dataset:
    """Parquet, or a folder of ``save_to_disk``."""
    path = str(config.path)
    verbosity = datasets_logging.get_verbosity()
    datasets_logging.set_verbosity(datasets_logging.CRITICAL)  # what is wrong is said below, once
    disable_progress_bars()
    try:
        if path.endswith(".parquet"):
            return load_dataset("parquet", data_files=path, split="train")
        loaded = load_from_disk(path)
    except Exception as error:  # datasets wraps every cause in its own generic error
        raise DataError(f"{path}: cannot be read: {_root_cause(error)}") from error
    finally:
        datasets_logging.set_verbosity(verbosity)
        enable_progress_bars()
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
    return str(error).strip().split("\n")[0][:200] or type(error).__name__
