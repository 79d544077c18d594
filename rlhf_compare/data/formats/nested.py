"""Columns inside others: a recipe names them by dots, ``{prompt: info.post}``."""

from collections.abc import Mapping

from rlhf_compare.data.formats.columns import Column
from rlhf_compare.data.formats.example import Row
from rlhf_compare.data.formats.names import side_of
from rlhf_compare.data.formats.values import TEXT_KEYS, decode, last_record

READ = {*TEXT_KEYS, "role", "from", "speaker", "messages"}


def cell(row: Row, name: str) -> object:
    """The value of a column, also of one inside another; None where there is none."""
    if name in row or "." not in name:
        return row.get(name)
    head, _, rest = name.partition(".")
    inside = _record(row.get(head))
    return cell(inside, rest) if inside is not None else None


def opened(columns: Mapping[str, Column], name: str) -> dict[str, Column]:
    """The columns, those on the way to ``name`` replaced by the columns inside them."""
    found = dict(columns)
    parts = name.split(".")
    for count in range(1, len(parts)):
        head = ".".join(parts[:count])
        if head not in found:
            continue
        records = [_record(value) for value in found[head].values]
        keys = dict.fromkeys(key for record in records for key in record or ())
        if not keys:
            break
        del found[head]
        for key in keys:
            values = tuple((record or {}).get(key) for record in records)
            found[f"{head}.{key}"] = Column.of_values(f"{head}.{key}", values)
    return found


def unread_fields(column: Column) -> list[str]:
    """The fields of texts in a column's messages or records that nothing reads, such as
    ``messages.reasoning_content``."""
    found: dict[str, None] = {}
    for value in column.values:
        records = decode(value) if isinstance(value, str) else value
        for one in records if isinstance(records, list) else []:
            if not isinstance(one, dict) or len(one) < 3:
                continue
            texts = (key for key, text in one.items() if isinstance(text, str) and " " in text)
            found.update(dict.fromkeys(f"{column.name}.{key}" for key in texts if key not in READ))
    return list(found)


def fields_inside(column: Column) -> list[Column]:
    """The fields of a column's records, or of the last messages of its conversations, as columns:
    ``messages.score``."""
    records = [last_record(value) for value in column.values]
    keys = dict.fromkeys(str(key) for record in records for key in record)
    return [
        Column.of_values(f"{column.name}.{key}", tuple(record.get(key) for record in records))
        for key in keys
    ]


def sides_inside(column: Column) -> list[str]:
    """The names inside a column's records, if a rejected response is among them."""
    records = [value for value in column.values if isinstance(value, dict)]
    names = list(dict.fromkeys(key for one in records for key in one))
    return names if any(side_of(str(name)) == "rejected" for name in names) else []


def _record(value: object) -> dict[str, object] | None:
    if isinstance(value, str):
        value = decode(value)
    return value if isinstance(value, dict) else None
