"""Columns inside others: a recipe names them by dots, ``{prompt: info.post}``."""

from collections.abc import Mapping

from rlhf_compare.data.formats.columns import Column
from rlhf_compare.data.formats.example import Row
from rlhf_compare.data.formats.values import decode


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


def _record(value: object) -> dict[str, object] | None:
    if isinstance(value, str):
        value = decode(value)
    return value if isinstance(value, dict) else None
