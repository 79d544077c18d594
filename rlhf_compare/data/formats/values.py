"""What kind of value a cell holds. A text may hold a list, as in the cells of a CSV file."""

import ast
import json
import math
import re
import warnings
from typing import Any, Literal

from rlhf_compare.data.conversation import is_message, is_message_list
from rlhf_compare.data.reasons import RowDropError

# nested: texts inside something that none of the other words fits
Kind = Literal[
    "none", "text", "bool", "number", "message", "messages", "texts", "numbers", "pairs",
    "records", "record", "tree", "nested", "other",
]  # fmt: skip

# Under one of these names a record keeps its text, and a ranked response its score or its rank.
TEXT_KEYS = ("text", "full_text", "content", "value", "answer", "response", "completion", "output")
SCORE_KEYS = ("score", "overall_score", "pm_score", "rating", "reward")
RANK_KEYS = ("rank", "ranking")
_EXACT = 2**53  # above it a float does not know its last digit
_NOTHING = {"none", "null", "nan", "n/a"}  # what scripts write for no text
TEXT_KINDS = ("text", "message", "messages", "texts", "pairs", "records", "record")

# numpy prints a list of dicts without commas; a real line break never stands inside a quoted text
_NUMPY_GAP = re.compile(r"([}\]'\"])\n\s*([{\['\"])")


def kind_of(value: object) -> Kind:
    """The kind of a value; an empty text or list is none."""
    if value is None or value == "" or value == [] or value == {}:
        return "none"
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "none" if value != value else "number"
    if isinstance(value, dict):
        return _kind_of_dict(value)
    if isinstance(value, list):
        return _kind_of_list(value)
    return "nested" if inside(value) else "other"


def _kind_of_dict(value: dict[Any, Any]) -> Kind:
    if "replies" in value:
        return "tree"
    if is_message_list(value.get("messages")):
        return "messages"
    if is_message(value):
        return "message"
    if any(isinstance(value.get(key), str) for key in TEXT_KEYS):
        return "record"
    if records_in(value) is not None:
        return "records"
    return "nested" if inside(value) else "other"


def records_in(value: dict[Any, Any]) -> list[dict[Any, Any]] | None:
    """The records of a dict of lists, as Arrow keeps a list of records; None if it is none."""
    lists = list(value.values())
    if not all(isinstance(one, list) and len(one) == len(lists[0]) for one in lists):
        return None
    records = [dict(zip(value, one, strict=True)) for one in zip(*lists, strict=True)]
    known = {*SCORE_KEYS, *RANK_KEYS}
    texts = all(any(isinstance(one.get(key), str) for key in TEXT_KEYS) for one in records)
    return records if records and texts and known & set(value) else None


def inside(value: object) -> list[str]:
    """All texts inside a value, however deep; bytes count as one."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [text for one in value for text in inside(one)]
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    return [value] if isinstance(value, str) and value.strip() else []


def _kind_of_list(value: list[Any]) -> Kind:
    if is_message_list(value):
        return "messages"
    if len(value) == 1 and isinstance(value[0], str) and value[0].lower() in _NOTHING:
        return "none"
    kinds: tuple[tuple[type | tuple[type, ...], Kind], ...] = (
        (str, "texts"), ((int, float), "numbers"), (list, "pairs"), (dict, "records"),
    )  # fmt: skip
    found = next((kind for of, kind in kinds if all(isinstance(v, of) for v in value)), None)
    return found or ("nested" if inside(value) else "other")


def decode(text: str) -> Any:
    """The list or dict that a text holds, as JSON or as Python (and numpy) prints it; else None."""
    text = text.strip()
    if text[:1] not in ("[", "{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of odd escapes inside the texts
                value = ast.literal_eval(_NUMPY_GAP.sub(r"\1, \2", text))
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            return None
    return value if isinstance(value, list | dict) else None


def decode_cell(value: object, field: str) -> object:
    """A cell of a column whose cells hold lists as text.

    Raises:
        RowDropError: it begins as a list and is none (cut off at a length, for instance).
    """
    if isinstance(value, str) and value.strip()[:1] in ("[", "{"):
        value = decode(value)
        if value is None:
            raise RowDropError("invalid_cell", f"field '{field}' begins as a list, but is none")
    records = records_in(value) if isinstance(value, dict) and value else None
    return value if records is None else records


def last_record(value: object) -> dict[str, object]:
    """The record, or the last message, that a cell holds; empty where it holds none."""
    if isinstance(value, str):
        value = decode(value)
    if isinstance(value, dict) and is_message_list(value.get("messages")):
        value = value["messages"]
    if isinstance(value, list):
        value = value[-1] if value else None
    return value if isinstance(value, dict) else {}


def number_as_text(value: object) -> object:
    """A number as text; anything else as it is. Scripts write whole numbers as 42.0, too."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    return str(int(value)) if value.is_integer() and abs(value) < _EXACT else str(value)


def texts_of(value: object) -> set[str]:
    """All texts of a value, stripped; of messages, what is said and not by whom."""
    if isinstance(value, str):
        decoded = decode(value)
        if decoded is None:
            return {value.strip()} - {""}
        value = decoded
    if isinstance(value, dict):
        if is_message_list(value.get("messages")):
            return texts_of(value["messages"])
        return set().union(*(texts_of(value[key]) for key in TEXT_KEYS if key in value))
    if isinstance(value, list):
        return set().union(*map(texts_of, value))
    return set()
