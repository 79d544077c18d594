"""Which responses of a row are marked as bad: beside them, inside them, or in their own text."""

from rlhf_compare.data.formats.example import Example
from rlhf_compare.data.formats.layout import Cells
from rlhf_compare.data.formats.marks import (
    bad_field,
    flag_of,
    is_gone,
    is_withdrawn,
    label_sense,
    said_of,
    says_bad,
)
from rlhf_compare.data.formats.values import last_record
from rlhf_compare.data.reasons import RowDropError


def refuse_marked_bad(cells: Cells) -> None:
    """A completion that people marked bad must never become a demonstration, whatever the source
    was taken for: the row itself is asked.

    Raises:
        RowDropError: it is marked bad, or by a mark that is neither good nor bad.
    """
    chosen = set(cells.layout.roles.get("label", ()))
    fields = [(str(name), str(name), value) for name, value in cells.row.items()]
    for role in ("completion", "messages"):
        record = last_record(cells.get(role))
        fields += [(f"{cells.name(role)}.{key}", str(key), value) for key, value in record.items()]
        if field := bad_field(record):
            raise RowDropError("marked_bad", f"field '{cells.name(role)}': {field} of its last")
    for name, key, value in fields:
        if value is None or value == "":
            continue
        bad = says_bad(key, value)
        if name in chosen:
            flag = flag_of(value)
            if flag is None:
                raise RowDropError("bad_label", f"field '{name}' is {str(value)[:40]!r}")
            bad = bad or (label_sense(key) is None and not flag)
        if bad:
            raise RowDropError("marked_bad", f"field '{name[:40]}' is {str(value)[:40]}")


def mark_of_best(cells: Cells, name: str, value: object, place: int | None = None) -> str:
    """What marks the best of several responses as bad; empty where nothing does. People compared
    the responses, so the row still ranks them.

    Args:
        name: the column of the response; value: what its cell holds.
        place: of the response in a list, where the column holds several.
    """
    if field := bad_field(last_record(value)):
        return f"field '{name}': {field}"
    for key, cell in cells.row.items():
        column = str(key)
        if place is not None and isinstance(cell, list):
            marked = place < len(cell) and says_bad(column, cell[place])
        else:
            rest = said_of(column, name) if place is None else ""
            marked = says_bad(rest, cell) or (is_withdrawn(column) and says_bad(column, cell))
        if marked:
            return f"field '{column[:40]}' is {str(cell)[:40]}"
    return ""


def refuse_gone(example: Example) -> None:
    """Refuse a row whose best response is a note that the text is not there any more.

    Raises:
        RowDropError: it is.
    """
    if example.responses:
        best = example.responses[example.scores.index(max(example.scores))]
        if is_gone(best):
            raise RowDropError("marked_bad", f"its text is {best.strip()!r}")
