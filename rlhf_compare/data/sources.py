"""Where rows come from. All are read through ``datasets``, so files larger than memory work."""

import gzip
import hashlib
import json
import os
import zlib
from importlib.resources import files
from pathlib import Path

from datasets import Dataset, disable_progress_bars, enable_progress_bars, load_dataset
from datasets import logging as datasets_logging

from rlhf_compare.data.config import DataConfig
from rlhf_compare.data.formats import parse_row
from rlhf_compare.errors import DataError

# Below this size a file is read before a progress bar could be.
_BAR_FROM_BYTES = 50_000_000


def load_rows(config: DataConfig) -> Dataset:
    """Raw rows of the configured source, in their order.

    Raises:
        DataError: the source is missing, damaged or empty; names file and line where there is one.
    """
    if config.source == "embedded":
        rows = _embedded()
    elif config.source == "file":
        rows = _file(config)
    else:
        rows = _hub(config)
    if len(rows) == 0:
        raise DataError(f"{describe(config)}: no rows")
    if config.max_rows is not None:
        rows = rows.select(range(min(config.max_rows, len(rows))))
    return rows


def describe(config: DataConfig) -> str:
    """The source in words, for messages."""
    if config.source == "embedded":
        return "embedded corpus"
    return str(config.path if config.source == "file" else f"{config.hub_id} ({config.split})")


def fingerprint(config: DataConfig) -> str:
    """SHA-256 that changes when the rows would: of the bytes, or of a hub id and its revision."""
    if config.source == "hub":
        return hashlib.sha256(
            f"{config.hub_id}@{config.revision}:{config.split}".encode()
        ).hexdigest()
    digest = hashlib.sha256()
    path = Path(str(config.path)) if config.source == "file" else _embedded_path()
    _require_file(path)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _embedded_path() -> Path:
    return Path(str(files("rlhf_compare.data") / "corpus" / "questions.jsonl"))


def _embedded() -> Dataset:
    with _embedded_path().open(encoding="utf-8") as stream:
        return Dataset.from_list([json.loads(line) for line in stream])


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise DataError(f"data.path: no such file: {path}; set it with data.path=FILE")
    if not os.access(path, os.R_OK):
        raise DataError(f"data.path: {path} is not readable")


def _file(config: DataConfig) -> Dataset:
    path = Path(str(config.path))
    _require_file(path)
    if not path.name.endswith((".jsonl", ".jsonl.gz", ".json.gz", ".json")):
        raise DataError(f"data.path: {path.name}: expected .jsonl or .jsonl.gz")
    (disable_progress_bars if path.stat().st_size < _BAR_FROM_BYTES else enable_progress_bars)()
    verbosity = datasets_logging.get_verbosity()
    datasets_logging.set_verbosity(datasets_logging.CRITICAL)  # what is wrong is said below, once
    try:
        return load_dataset("json", data_files=str(path), split="train")
    except Exception as error:  # datasets wraps every cause in its own generic error
        raise unreadable(config, error) from error
    finally:
        datasets_logging.set_verbosity(verbosity)


def unreadable(config: DataConfig, error: Exception) -> DataError:
    """The error for rows that cannot be read: names the line where a file breaks."""
    fault = _diagnose(Path(str(config.path))) if config.source == "file" else None
    if fault is None and isinstance(error, DataError):
        return error
    return DataError(fault or f"{describe(config)}: cannot be read: {_root_cause(error)}")


def _hub(config: DataConfig) -> Dataset:
    try:
        return load_dataset(config.hub_id, split=config.split, revision=config.revision)
    except Exception as error:  # many kinds: offline, unknown id, gated, unknown split
        raise DataError(
            f"data.hub_id: {describe(config)} cannot be loaded: {_root_cause(error)}; "
            "a hub dataset needs a network, or a copy already in the local cache"
        ) from error


def _root_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().split("\n")[0][:200] or type(error).__name__


def _diagnose(path: Path) -> str | None:
    """Read the file line by line and say where it breaks; None if every line is a row."""
    opener = gzip.open if path.name.endswith(".gz") else open
    line = 0
    try:
        with opener(path, "rb") as stream:
            for line, raw in enumerate(stream, start=1):
                if not raw.strip():
                    continue
                row = json.loads(raw.decode("utf-8"))
                if not isinstance(row, dict):
                    return f"{path}, line {line}: not a JSON object"
                parse_row(row, f"{path}, line {line}")
    except DataError as error:
        return str(error)
    except (EOFError, OSError, zlib.error) as error:
        return f"{path}: damaged gzip after line {line} ({error}); fetch the file again"
    except UnicodeDecodeError as error:
        return f"{path}, line {line}: invalid UTF-8 ({error.reason})"
    except json.JSONDecodeError as error:
        return f"{path}, line {line}: invalid JSON ({error.msg}, column {error.colno})"
    return f"{path}: no rows" if line == 0 else None
