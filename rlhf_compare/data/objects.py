"""JSON files that are no list of lines: an array, an object around one, objects over many lines."""

import json
from collections.abc import Iterator
from typing import Any

from rlhf_compare.data.conversation import is_message_list

# An object on one line is a row, unless its only list stands under one of these names.
_WRAPPERS = ("data", "rows", "examples", "instances", "items", "records", "train", "samples")
_LINES = "write one object a line"


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
        return not second and isinstance(row, dict) and _wrapped(row) is not None
    return not _parses(second) and (not second or not second.startswith(b"{"))


def rows_of(raw: bytes, split: str) -> list[Any]:
    """The rows of a whole file.

    Args:
        split: which list is meant where an object holds several.

    Raises:
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
    lists = [name for name, rows in value.items() if _holds_rows(rows)]
    if len(lists) > 1 and split in lists:
        return list(value[split])
    if len(lists) > 1:
        raise ValueError(
            f"it is one object with several lists: {', '.join(lists[:8])}; choose one with "
            "data.split"
        )
    name = lists[0] if lists else None
    if name is not None:
        return list(value[name])
    if value and all(isinstance(rows, list | dict) and len(rows) > 1 for rows in value.values()):
        raise ValueError(
            f"it is one object of columns ({', '.join(map(str, list(value)[:8]))}), as pandas' "
            f"to_json writes it; {_LINES} (orient='records', lines=True)"
        )
    return [value]


def _wrapped(value: dict[str, Any]) -> str | None:
    """The key of the list that an object on one line wraps."""
    lists = [name for name, rows in value.items() if _holds_rows(rows)]
    return lists[0] if lists and lists[0].lower() in _WRAPPERS else None


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
