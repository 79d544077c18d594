"""Text files row by row: a bad line is that row's fault, a damaged file is an error."""

import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from rlhf_compare.errors import DataError

SUFFIXES = (".jsonl", ".json", ".csv")
_BOM = b"\xef\xbb\xbf"


def kind_of(path: Path) -> str | None:
    """The suffix of a text file, without .gz; None if it is not one of ours."""
    name = path.name.removesuffix(".gz")
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(line number from 1, one JSON object as bytes) of every row; blank lines count, but are none.

    A row of a CSV file has the number of its first line; an element of a .json file that is one
    array has its place in it (such a file is read as a whole).

    Raises:
        DataError: the file cannot be read to its end; names the last good line.
    """
    number = 0
    try:
        with _open(path) as stream:
            for number, raw in _rows(stream, kind_of(path)):
                yield number, raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path}: damaged gzip after line {number} ({error}); fetch the file again"
        ) from error
    except (OSError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read after line {number}: {error}") from error


def _open(path: Path) -> BinaryIO:
    return gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb")  # type: ignore[return-value]


def _rows(stream: BinaryIO, kind: str | None) -> Iterator[tuple[int, bytes]]:
    if kind == ".csv":
        yield from _csv_rows(stream)
        return
    first = stream.readline().removeprefix(_BOM)
    if kind == ".json" and first.lstrip().startswith(b"["):
        yield from _array_rows(first + stream.read())
        return
    line, number = first, 1
    while line:
        if line.strip():
            yield number, line.rstrip(b"\r\n")
        line, number = stream.readline(), number + 1


def _array_rows(raw: bytes) -> Iterator[tuple[int, bytes]]:
    try:
        rows: list[Any] = json.loads(raw.decode("utf-8", errors="surrogateescape"))
    except ValueError as error:
        message = f"it begins as a JSON array, but is none ({error}); write one object a line"
        raise OSError(message) from error
    for number, row in enumerate(rows, start=1):
        yield number, json.dumps(row).encode()


def _csv_rows(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    csv.field_size_limit(sys.maxsize)
    # bytes that are no UTF-8 become half characters, which the row's checks find
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    reader = csv.DictReader(text)
    reader.fieldnames  # noqa: B018 - reads the header, so that line_num is its last line
    start = reader.line_num + 1
    for row in reader:
        yield start, json.dumps({str(name): value for name, value in row.items()}).encode()
        start = reader.line_num + 1
