"""Text files row by row: a bad line is that row's fault, a damaged file is an error."""

import csv
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from rlhf_compare.data.beginnings import is_packed, refuse_other_kinds
from rlhf_compare.data.objects import NoRowsError, is_whole, rows_of
from rlhf_compare.data.tables import table_rows
from rlhf_compare.errors import DataError

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
_BOM = b"\xef\xbb\xbf"
TABLES = {".csv": (",", ";", "\t", "|"), ".tsv": ("\t", ",", ";")}

Lines = Iterator[tuple[int, bytes]]


def kind_of(path: Path) -> str | None:
    """The suffix of a text file, without .gz; None if it is not one of ours."""
    name = path.name.lower().removesuffix(".gz")
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)


def read_lines(path: Path, split: str = "train") -> Lines:
    """(number from 1, one JSON object as bytes) of every row; blank lines count, but are none.

    A row of a CSV file has the number of its first line; a row of a .json file that is one array,
    or an object around one, has its place in it (such a file is read as a whole).

    Args:
        split: which list is meant where the file is an object with several.

    Raises:
        DataError: the file cannot be read to its end; names the last good line.
    """
    refuse_other_kinds(path)
    number = 0
    try:
        with _open(path) as stream:
            for number, raw in _rows(stream, kind_of(path), split):
                yield number, raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path}: damaged gzip after line {number} ({error}); fetch the file again"
        ) from error
    except csv.Error as error:
        raise DataError(
            f"{path}: cannot be read after line {number}: {error}; a quote inside a cell is "
            'doubled (""), and a cell that holds quotes or line breaks stands in quotes'
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read after line {number}: {error}") from error


def unit_of(path: Path) -> str:
    """What the number of a row counts: ``line``, or ``element`` of an array.

    Raises:
        DataError: the file is damaged at its beginning.
    """
    refuse_other_kinds(path)
    kind = kind_of(path)
    if kind in TABLES:
        return "line"
    try:
        with _open(path) as stream:
            first, second, _ = _opening(stream)
    except (OSError, EOFError, zlib.error):  # reading the rows says what is wrong
        return "line"
    return "element" if is_whole(first, second, kind == ".json") else "line"


def _open(path: Path) -> BinaryIO:
    return gzip.open(path, "rb") if is_packed(path) else path.open("rb")  # type: ignore[return-value]


def _rows(stream: BinaryIO, kind: str | None, split: str) -> Lines:
    if kind in TABLES:
        yield from table_rows(stream, TABLES[kind])
        return
    first, second, lines = _opening(stream)
    if is_whole(first, second, kind == ".json"):
        try:
            rows = rows_of(b"".join(lines) + stream.read(), split)
        except NoRowsError as error:
            raise OSError(str(error)) from error
        except ValueError as error:
            if kind == ".json" or not first.lstrip().startswith(b"{"):
                raise OSError(str(error)) from error
            stream.seek(0)  # lines after all, the first of them bad
            lines = []
        else:
            for number, row in enumerate(rows, start=1):
                yield number, json.dumps(row).encode()
            return
    for number, line in enumerate(_again(lines, stream), start=1):
        line = line.removeprefix(_BOM) if number == 1 else line
        if line.strip():
            yield number, line.rstrip(b"\r\n")


def _opening(stream: BinaryIO) -> tuple[bytes, bytes, list[bytes]]:
    """The first two lines that are not blank, and all lines read to find them."""
    lines: list[bytes] = []
    found: list[bytes] = []
    while len(found) < 2:
        line = stream.readline()
        if not line:
            break
        line = line.removeprefix(_BOM) if not lines else line
        lines.append(line)
        if line.strip():
            found.append(line.strip())
    first, second = [*found, b"", b""][:2]
    return first, second, lines


def _again(lines: list[bytes], stream: BinaryIO) -> Iterator[bytes]:
    """The lines read so far, then the rest."""
    yield from lines
    while line := stream.readline():
        yield line
