"""What kind of value a cell holds. A text may hold a list, as in the cells of a CSV file."""

import ast
import json
import re
import warnings
from typing import Any, Literal

from rlhf_compare.data.conversation import is_message, is_message_list
from rlhf_compare.data.reasons import RowDropError

Kind = Literal[
    "none", "text", "bool", "number", "message", "messages", "texts", "numbers", "pairs",
    "records", "record", "tree", "other",
]  # fmt: skip

# Under one of these names a record keeps its text, and a ranked response its score or its rank.
TEXT_KEYS = ("text", "full_text", "content", "value", "answer", "response", "completion", "output")
SCORE_KEYS = ("score", "overall_score", "pm_score", "rating", "reward")
RANK_KEYS = ("rank", "ranking")
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
    return _kind_of_list(value) if isinstance(value, list) else "other"


def _kind_of_dict(value: dict[Any, Any]) -> Kind:
    if "replies" in value:
        return "tree"
    if is_message_list(value.get("messages")):
        return "messages"
    if is_message(value):
        return "message"
    return "record" if any(isinstance(value.get(key), str) for key in TEXT_KEYS) else "other"


def _kind_of_list(value: list[Any]) -> Kind:
    if is_message_list(value):
        return "messages"
    kinds: tuple[tuple[type | tuple[type, ...], Kind], ...] = (
        (str, "texts"), ((int, float), "numbers"), (list, "pairs"), (dict, "records"),
    )  # fmt: skip
    return next((kind for of, kind in kinds if all(isinstance(v, of) for v in value)), "other")


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
    if not isinstance(value, str) or value.strip()[:1] not in ("[", "{"):
        return value
    decoded = decode(value)
    if decoded is None:
        raise RowDropError("invalid_cell", f"field '{field}' begins as a list, but is none")
    return decoded


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
