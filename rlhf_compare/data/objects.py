"""JSON files that are no list of lines: an array, an object around one, objects over many lines."""

import json
from collections.abc import Iterator
from typing import Any

from rlhf_compare.data.conversation import is_message_list
from rlhf_compare.data.formats.names import sounds_like_prompt

_LINES = "write one object a line"


class NoRowsError(ValueError):
    """A file that is JSON, but no rows."""


def is_whole(first: bytes, second: bytes, is_json: bool) -> bool:
    """Whether a file must be read as a whole, by its first two lines that are not blank.

    Args:
        is_json: the name ends in .json, not .jsonl.
    """
    start = first.lstrip()
    if start.startswith(b"["):
        # a line that is an array by itself, before other lines, is one bad line
        return is_json or not second or not _parses(first)
    if not start.startswith(b"{") or not _is_utf8(first):
        return False
    if _parses(first):
        row = json.loads(first.decode("utf-8"))
        return not second and isinstance(row, dict) and not _is_row(row)
    return not _parses(second) and (not second or not second.startswith(b"{"))


def rows_of(raw: bytes, split: str) -> list[Any]:
    """The rows of a whole file.

    Args:
        split: which list is meant where an object holds several.

    Raises:
        NoRowsError: it is an object of columns, or one of several lists.
        ValueError: it is neither an array, nor an object around one, nor a row of objects.
    """
    text = raw.decode("utf-8", errors="surrogateescape")
    try:
        values = list(_values(text))
    except json.JSONDecodeError as error:
        kind = "array" if text.lstrip()[:1] == "[" else "object"
        raise ValueError(
            f"it begins as a JSON {kind}, but is none (line {error.lineno}: {error.msg}); {_LINES}"
        ) from error
    except RecursionError as error:
        raise ValueError(f"its JSON is nested too deeply; {_LINES}") from error
    if len(values) == 1 and isinstance(values[0], list):
        return values[0]
    if len(values) == 1 and isinstance(values[0], dict):
        return _unwrapped(values[0], split)
    return values


def _values(text: str) -> Iterator[Any]:
    """JSON values one after the other."""
    decoder, place = json.JSONDecoder(), 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        value, place = decoder.raw_decode(text, place)
        yield value


def _unwrapped(value: dict[str, Any], split: str) -> list[Any]:
    if _is_row(value):
        return [value]
    lists = _lists_in(value)
    if len(lists) > 1 and split not in lists:
        raise NoRowsError(
            f"it is one object with several lists: {', '.join(list(lists)[:8])}; choose one with "
            "data.split"
        )
    if lists:
        rows = lists[split] if split in lists else next(iter(lists.values()))
        inside = [row.get("row") for row in rows]  # as a hub's viewer answers
        return inside if all(isinstance(row, dict) for row in inside) else rows
    if _is_columns(value):
        raise NoRowsError(
            f"it is one object of columns ({', '.join(map(str, list(value)[:8]))}), as pandas' "
            f"to_json writes it; {_LINES} (orient='records', lines=True)"
        )
    return [value]


def _is_row(value: dict[str, Any]) -> bool:
    """Whether an object is one row, as its question or its conversation shows, and wraps none."""
    if _is_columns(value):
        return False
    lists = _lists_in(value)
    names = [str(name) for name, one in value.items() if isinstance(one, str) or name not in lists]
    return not lists or any(sounds_like_prompt(name) for name in names)


def _lists_in(value: dict[str, Any]) -> dict[str, list[Any]]:
    """The lists of rows in an object, or in an object inside it."""
    lists = {str(name): rows for name, rows in value.items() if _holds_rows(rows)}
    if "rows" in lists and "features" in lists:  # as a hub's viewer answers
        return {"rows": lists["rows"]}
    if lists or len(value) != 1:
        return lists
    inside = next(iter(value.values()))
    return _lists_in(inside) if isinstance(inside, dict) else {}


def _is_columns(value: dict[str, Any]) -> bool:
    """Whether every value holds a column: a list of texts or numbers, or an object from their
    numbers to them."""
    columns = list(value.values())
    if all(isinstance(one, list) and not is_message_list(one) for one in columns):
        plain = all(isinstance(cell, str | int | float) for one in columns for cell in one)
        return len(columns) > 1 and plain and all(len(one) > 1 for one in columns)
    return len(columns) > 1 and all(
        isinstance(one, dict) and len(one) > 1 and all(str(key).isdigit() for key in one)
        for one in columns
    )


def _holds_rows(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) > 0
        and all(isinstance(row, dict) for row in value)
        and not is_message_list(value)
    )


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _parses(line: bytes) -> bool:
    try:
        json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return False
    return True
