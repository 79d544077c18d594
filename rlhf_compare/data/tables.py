"""CSV and TSV: every row as an object, its cells counted against the header."""

import csv
import io
import json
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import BinaryIO

# The key under which a row keeps how many cells it has more (or, below 0, fewer) than the header.
CELLS_OFF = "\0cells"
_SEP = re.compile(r'^"?sep=(.)"?\s*$', re.IGNORECASE)  # Excel's first line may name the delimiter
_ENDS = re.compile(r"\w\s+\S+[.?!]\s*$")  # two words and the end of a sentence
_QUOTED = re.compile(r'"[^"]*"')


def table_rows(stream: BinaryIO, delimiters: Sequence[str]) -> Iterator[tuple[int, bytes]]:
    """(number of its first line, one JSON object as bytes) of every row.

    Args:
        delimiters: the one that the header has most often is taken, the first of equals.

    Raises:
        csv.Error: quotes that do not fit; all that follows may be one cell.
        OSError: the header is no UTF-8, or names two columns alike.
    """
    csv.field_size_limit(sys.maxsize)
    # bytes that are no UTF-8 become half characters, which the row's checks find
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        yield from _rows(text, delimiters)
    finally:
        text.detach()  # else the wrapper, when it is collected, closes what others opened


def _rows(text: io.TextIOWrapper, delimiters: Sequence[str]) -> Iterator[tuple[int, bytes]]:
    skipped, header, given = _header(text)
    bare = _QUOTED.sub("", header)
    delimiter = given or max(delimiters, key=bare.count)
    reader = csv.reader(chain([header], text), delimiter=delimiter, strict=True)
    names = _names(next(reader, []))
    start = reader.line_num + 1
    for cells in reader:
        if cells:
            row: dict[str, object] = dict(zip(names, cells, strict=False))
            if len(cells) != len(names):
                row[CELLS_OFF] = len(cells) - len(names)
            yield skipped + start, json.dumps(row).encode()
        start = reader.line_num + 1


def no_header(names: Sequence[str]) -> str:
    """What to say of a table that begins with a row; empty where its first line may be names."""
    sentences = [name for name in names if len(name.split()) > 2 or _ENDS.search(name)]
    if not sentences:
        return ""
    return (
        f"its first line looks like a row, not like the names of its columns ({sentences[0][:60]!r}"
        "); write the names before it, for instance prompt,completion or prompt,chosen,rejected; "
        "if these are the names, say what they are: data.columns={prompt: NAME, completion: NAME}"
    )


def _header(text: io.TextIOWrapper) -> tuple[int, str, str | None]:
    """Lines before the header, the header, and the delimiter where a line before names it."""
    skipped, delimiter = 0, None
    while line := text.readline():
        named = _SEP.match(line.rstrip("\r\n"))
        if line.strip() and not named:
            return skipped, line, delimiter
        delimiter = named[1] if named else delimiter
        skipped += 1
    return skipped, "", delimiter


def _names(header: Sequence[str]) -> list[str]:
    names = [name if name.strip() else f"column {i}" for i, name in enumerate(header, start=1)]
    if not all(map(_is_text, names)):
        raise OSError("its header is no UTF-8; write the file as UTF-8, from its own encoding")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        if fault := no_header(names):
            raise OSError(fault)
        raise OSError(f"two columns are named {twice!r}; rename one of them")
    return names


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
