"""A layout while it is found: the columns, the roles given so far, and what is still free."""

import difflib
from collections.abc import Iterable, Mapping, Sequence

from rlhf_compare.data.formats.columns import Column, says_the_same
from rlhf_compare.data.formats.names import squashed
from rlhf_compare.data.formats.nested import opened

# Whoever says which column holds the response leaves the others unread on purpose.
ANSWER_ROLES = ("chosen", "rejected", "completion", "responses", "messages")


class LayoutError(Exception):
    """Columns that cannot be read as they are: the reason and the way out, in one line."""


class Draft:
    """The state of one recognition.

    Raises:
        LayoutError: ``given`` names a column that is not there.
    """

    def __init__(
        self,
        columns: Mapping[str, Column],
        format_name: str,
        given: Mapping[str, str | Sequence[str]],
    ) -> None:
        self.columns, self.format = dict(columns), format_name
        self.heads = frozenset(columns)  # as the rows have them; a recipe may name what is inside
        self.roles: dict[str, tuple[str, ...]] = {}
        self.repeats: set[str] = set()
        self.ranking: Mapping[str, object] = {}  # fields of a layout: how responses are ranked
        self.told = format_name != "auto" or bool(set(given) & set(ANSWER_ROLES))
        for role, names in given.items():
            self.roles[role] = (names,) if isinstance(names, str) else tuple(names)
            for name in self.roles[role]:
                if name not in self.columns:
                    self.columns = opened(self.columns, name)
                if name not in self.columns:
                    near = difflib.get_close_matches(name, list(self.columns), n=1, cutoff=0.0)
                    hint = f"; did you mean {near[0]}?" if near else ""
                    raise LayoutError(f"data.columns: no column {name!r} for {role}{hint}")

    @property
    def free(self) -> list[Column]:
        """The columns of no role."""
        taken = {name for names in self.roles.values() for name in names} | self.repeats
        return [column for name, column in self.columns.items() if name not in taken]

    def of(self, role: str) -> list[Column]:
        return [self.columns[name] for name in self.roles.get(role, ())]

    def content(self, role: str) -> str:
        columns = self.of(role)
        return columns[0].content if columns else "none"

    def give(self, role: str, *columns: Column) -> None:
        self.roles[role] = tuple(column.name for column in columns)

    def pick(self, role: str, candidates: Sequence[Column], context: Iterable[Column] = ()) -> None:
        """Give a role to the one candidate, or the first, if the others say the same as it.

        Raises:
            LayoutError: several candidates that differ.
        """
        if role in self.roles or not candidates:
            return
        exact = [column for column in candidates if squashed(column.name) == squashed(role)]
        first = exact[0] if exact else candidates[0]
        for other in candidates:
            if other is first:
                continue
            if says_the_same(other, [first, *context]):
                self.repeats.add(other.name)
            else:
                raise LayoutError(
                    f"{first.name} and {other.name} may both be the {role}; say which is, for "
                    f"instance data.columns={{{role}: {first.name}}}"
                )
        self.give(role, first)
