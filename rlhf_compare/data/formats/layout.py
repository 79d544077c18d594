"""Which column of a source plays which role, and one row seen through it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args

from rlhf_compare.data.config import Role
from rlhf_compare.data.formats.example import Row
from rlhf_compare.data.formats.names import sounds_like_prompt, sounds_like_response
from rlhf_compare.data.formats.nested import cell
from rlhf_compare.data.formats.values import TEXT_KINDS, decode_cell, kind_of
from rlhf_compare.data.reasons import RowDropError

ROLES: tuple[str, ...] = get_args(Role)
FORMAT_WORDS = {
    "hh": "hh transcripts",
    "preference": "preference pairs",
    "ranked": "ranked responses",
    "demonstrations": "demonstrations",
    "prompts": "prompts alone",
}


@dataclass(frozen=True)
class Layout:
    """How the rows of a source are read.

    format      a key of ``FORMAT_WORDS``
    roles       role -> its columns; one, but for the responses and scores of a ranked row
    ranking     how ranked responses are scored, see ``rankings``; marks: what each is called there
    encoded     columns whose cells hold lists as text
    transcripts whether texts are hh transcripts, to be parsed turn by turn
    repeated    whether the sides, texts, begin with the prompt, which is to be cut off
    known       the columns that were looked at; a new one in a later row may hold what is needed
    not_read    columns of no role; repeats: those of them that say what is read anyway
    """

    format: str
    roles: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {role: (role,) for role in ROLES}
    )
    ranking: str = "scores"
    marks: tuple[str, ...] = ()
    encoded: frozenset[str] = frozenset()
    transcripts: bool = False
    repeated: bool = False
    known: frozenset[str] = frozenset()
    not_read: tuple[str, ...] = ()
    repeats: tuple[str, ...] = ()

    @property
    def read(self) -> tuple[str, ...]:
        """The columns that are read, the question's first."""
        return tuple(dict.fromkeys(c for role in ROLES for c in self.roles.get(role, ())))

    def __str__(self) -> str:
        text = f"read as {FORMAT_WORDS[self.format]} from {', '.join(self.read)}"
        unread = [
            f"{name} (says the same)" if name in self.repeats else name.strip() or repr(name)
            for name in self.not_read
        ]
        return f"{text}; not read: {', '.join(unread)}" if unread else text

    def as_dict(self) -> dict[str, object]:
        return {
            "format": self.format,
            "columns": {role: list(names) for role, names in self.roles.items()},
            "not_read": list(self.not_read),
        }


class Cells:
    """A row by roles."""

    def __init__(self, row: Row, layout: Layout) -> None:
        self.row, self.layout = row, layout

    def name(self, role: str) -> str:
        """The column of a role, for messages; the role itself where there is none."""
        return self.layout.roles.get(role, (role,))[0]

    def get(self, role: str) -> object:
        """The value of a role's only column; None where there is none.

        Raises:
            RowDropError: the cell begins as a list and is none.
        """
        names = self.layout.roles.get(role, ())
        return self.column(names[0]) if names else None

    def column(self, name: str) -> object:
        value = cell(self.row, name)
        return decode_cell(value, name) if name in self.layout.encoded else value

    def columns(self, role: str) -> list[tuple[str, object]]:
        """(name, value) of all columns of a role."""
        return [(name, self.column(name)) for name in self.layout.roles.get(role, ())]

    def require_no_news(self) -> None:
        """Refuse a row whose text stands in a column that no row looked at had.

        Raises:
            RowDropError: names the column.
        """
        if not self.layout.known or self.row.keys() <= self.layout.known:
            return
        for name in self.row.keys() - self.layout.known:
            needed = sounds_like_response(str(name)) or sounds_like_prompt(str(name))
            if needed and kind_of(self.row[name]) in TEXT_KINDS:
                raise RowDropError("new_column", f"field '{str(name)[:40]}'")
