"""The columns of a source's first rows: what kind of values each holds."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rlhf_compare.data.formats.example import Row
from rlhf_compare.data.formats.values import TEXT_KINDS, Kind, decode, inside, kind_of, texts_of

_MOST = 0.9  # of the rows: "all but damaged ones"
_SENTENCE = 4  # words


@dataclass(frozen=True)
class Column:
    """One column.

    kind    of most of its values; inner: of the lists that its texts hold, "none" where they hold
            none
    """

    name: str
    values: tuple[object, ...]
    kind: Kind
    inner: Kind

    @classmethod
    def of(cls, name: str, rows: Sequence[Row]) -> "Column":
        return cls.of_values(name, tuple(row.get(name) for row in rows))

    @classmethod
    def of_values(cls, name: str, values: tuple[object, ...]) -> "Column":
        kind = _most([kind_of(value) for value in values])
        inner: Kind = "none"
        if kind == "records" and all(isinstance(v, dict) for v in values if v is not None):
            inner = "records"  # one record of lists
        if kind == "text":
            held = [decode(value) for value in values if isinstance(value, str) and value]
            if sum(value is not None for value in held) * 2 > len(held):
                inner = _most([kind_of(value) for value in held])
        return cls(name, values, kind, inner)

    @property
    def content(self) -> Kind:
        """The kind of what its cells hold, lists in texts decoded."""
        if self.inner in ("message", "messages", "pairs", "records"):
            return self.inner
        return self.kind

    @property
    def has_text(self) -> bool:
        return self.kind in TEXT_KINDS

    @property
    def is_one_response(self) -> bool:
        """Whether a cell holds one text or conversation, not a list of responses."""
        one = ("text", "message", "messages", "record")
        return self.content in one or (self.kind == "texts" and self._lists_are_of_one)

    @property
    def _lists_are_of_one(self) -> bool:
        return all(len(value) == 1 for value in self.values if isinstance(value, list) and value)

    @property
    def is_prose(self) -> bool:
        """Whether most of its texts have blanks between words, or are conversations."""
        if self.kind != "text":
            return self.has_text
        texts = [value.strip() for value in self.values if isinstance(value, str) and value]
        return sum(" " in text for text in texts) * 2 > len(texts)

    @property
    def is_sentences(self) -> bool:
        """Whether most of its texts have words enough for one; of conversations always."""
        if self.kind == "nested":
            return any(len(text.split()) >= _SENTENCE for v in self.values for text in inside(v))
        if self.kind != "text":
            return self.has_text
        texts = [value.split() for value in self.values if isinstance(value, str) and value]
        return sum(len(said) >= _SENTENCE for said in texts) * 2 > len(texts)


def columns_of(rows: Iterable[Row]) -> dict[str, Column]:
    rows = list(rows)
    names = dict.fromkeys(str(name) for row in rows for name in row)
    return {name: Column.of(name, rows) for name in names}


def says_the_same(column: Column, others: Iterable[Column]) -> bool:
    """Whether, in nearly all rows, every text of a column stands in the others too."""
    others = list(others)
    same = told = 0
    for place, value in enumerate(column.values):
        texts = texts_of(value)
        if not texts:
            continue
        told += 1
        said = set().union(*(texts_of(other.values[place]) for other in others))
        same += texts <= said
    return told > 0 and same >= _MOST * told


def never_together(column: Column, *others: Column) -> bool:
    """Whether no row has a value in this column and in another: rows of two kinds in one file."""
    return not any(
        kind_of(value) != "none" and any(kind_of(o.values[place]) != "none" for o in others)
        for place, value in enumerate(column.values)
    )


def share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags) if flags else 0.0


def _most(kinds: Sequence[Kind]) -> Kind:
    counted = Counter(kind for kind in kinds if kind != "none")
    return counted.most_common(1)[0][0] if counted else "none"
