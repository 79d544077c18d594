"""Which columns hold responses, and which say how good each is."""

from collections.abc import Sequence

from rlhf_compare.data.formats.columns import Column
from rlhf_compare.data.formats.draft import Draft, LayoutError
from rlhf_compare.data.formats.marks import are_flags
from rlhf_compare.data.formats.names import (
    RANKS,
    RESPONSE,
    SCORES,
    VERDICTS,
    is_response_list,
    is_verdict,
    names_a_model,
    numbered,
    side_of,
    words,
)
from rlhf_compare.data.formats.rankings import TIE_WORDS, number, place_in
from rlhf_compare.data.formats.values import RANK_KEYS, SCORE_KEYS, decode, records_in

_ORDERED = (("j", "k"),)  # response_j is the better one wherever it has been published


def find_sides(draft: Draft) -> None:
    """Give ``chosen`` and ``rejected``, and their scores."""
    verdicts = {name for name, c in draft.columns.items() if _names_a_response(draft, c)}
    for side in ("chosen", "rejected"):
        found = [c for c in draft.free if c.is_one_response and side_of(c.name) == side]
        draft.pick(side, [c for c in found if c.name not in verdicts])
        numeric = [c for c in draft.free if is_numeric(c) and set(words(c.name)) & SCORES]
        rated = [c for c in numeric if side_of(_without(c.name, SCORES)) == side]
        if {"chosen", "rejected"} & set(draft.roles) and len(rated) == 1:
            draft.pick(f"score_{side}", rated)


def _without(name: str, dropped: set[str]) -> str:
    return " ".join(word for word in words(name) if word not in dropped)


def find_groups(draft: Draft) -> list[list[tuple[str, Column]]]:
    """Columns that differ in a number or letter alone, by that mark: the responses of a row."""
    if len(draft.roles.get("responses", ())) > 1:
        return [[((numbered(c.name) or ("", str(i)))[1], c)
                 for i, c in enumerate(draft.of("responses"))]]  # fmt: skip
    groups: dict[tuple[str, ...], list[tuple[str, Column]]] = {}
    for column in draft.free:
        name = numbered(column.name)
        if names_a_model(column.name) and column.is_sentences:
            name = (("model",), words(column.name)[1])
        if name and column.has_text and side_of(column.name) is None:
            groups.setdefault(name[0], []).append((name[1], column))
    return [sorted(g, key=lambda pair: pair[0]) for g in groups.values() if len(g) > 1]


def _names_a_response(draft: Draft, column: Column) -> bool:
    """Whether a column's values name one of the numbered responses, as ``winner: model_a`` does."""
    groups = find_groups(draft)
    if not groups or not is_verdict(column.name):
        return False
    marks = _marks_of(column, [mark for mark, _ in groups[0]])
    return marks is not None


def rank_columns(draft: Draft) -> dict[str, object] | None:
    """Give ``responses`` to the numbered columns; how they are ranked, None without such columns.

    Raises:
        LayoutError: nothing says, or several columns say, which is better.
    """
    groups = find_groups(draft)
    if not groups:
        return None
    if len(groups) > 1:
        both = " and ".join(", ".join(c.name for _, c in group) for group in groups[:2])
        raise LayoutError(
            f"{both} may both be the responses; say which are: data.columns={{responses: [...]}}"
        )
    marks, columns = [mark for mark, _ in groups[0]], [column for _, column in groups[0]]
    draft.give("responses", *columns)
    for rule in (_verdict, _one_hot, _strength, _score_columns, _order):
        found = rule(draft, marks)
        if found:
            return found
    names = ", ".join(column.name for column in columns)
    raise LayoutError(
        f"{names}: no column says which is better (a number or name as in better_response_id or "
        "winner, or a score for each); say which does with data.columns={better: ...} or "
        f"{{scores: [...]}}, or which side is which with data.columns={{chosen: "
        f"{columns[0].name}, rejected: {columns[1].name}}}"
    )


def _verdict(draft: Draft, marks: Sequence[str]) -> dict[str, object] | None:
    if len(draft.roles.get("better", ())) > 1:
        return None
    given = draft.of("better")
    found = given or [c for c in draft.free if is_verdict(c.name) and not _is_signed(c)]
    meant = {c.name: _marks_of(c, marks) for c in found}
    found = [c for c in found if meant[c.name]]
    if not found:
        return None
    draft.pick("better", found)
    return {"ranking": "verdict", "marks": tuple(meant[draft.roles["better"][0]] or ())}


def _marks_of(column: Column, marks: Sequence[str]) -> list[str] | None:
    """What a verdict column calls each response; None where it names none, or may mean two."""
    values = [value for value in column.values if value is not None and value != ""]
    count = len(marks)
    read = [number(value) for value in values]
    if not values or any(isinstance(value, bool) for value in values):
        return None
    if not marks[0].isdigit() and all(value is not None for value in read):
        seen = {int(value or 0) for value in read}
        for first in (0, 1):  # a letter's number: a, b = 0, 1, or 1, 2
            numbers = range(first, first + count)
            decides = first if first == 0 else count
            if seen <= set(numbers) and decides in seen:
                return [str(n) for n in numbers]
        return None
    fits = [place_in(value, marks) is not None for value in values]
    return list(marks) if sum(fits) >= 0.9 * len(fits) else None


def _one_hot(draft: Draft, marks: Sequence[str]) -> dict[str, object] | None:
    if len(draft.roles.get("better", ())) > 1:
        return {"ranking": "one_hot"}
    named = [c for c in draft.free if set(words(c.name)) & VERDICTS and are_flags(c.values)]
    won = [[c for c in named if mark in words(c.name)] for mark in marks]
    if any(len(columns) != 1 for columns in won):
        return None
    ties = [c for c in named if set(words(c.name)) & TIE_WORDS]
    draft.give("better", *(columns[0] for columns in won), *ties)
    return {"ranking": "one_hot"}


def _strength(draft: Draft, marks: Sequence[str]) -> dict[str, object] | None:
    given = draft.of("better")
    found = given or [c for c in draft.free if is_verdict(c.name) and _is_signed(c)]
    if len(marks) != 2 or not found:
        return None
    draft.pick("better", found)
    return {"ranking": "strength"}


def _is_signed(column: Column) -> bool:
    read = [number(value) for value in column.values]
    if "strength" in words(column.name):
        return any(value is not None for value in read)
    return any(value is not None and value < 0 for value in read)


def _score_columns(draft: Draft, marks: Sequence[str]) -> dict[str, object] | None:
    if "scores" in draft.roles:
        return {"ranking": "scores"}
    for kinds, ranking in ((SCORES, "scores"), (RANKS, "ranks")):
        rated = [
            [c for c in draft.free if is_numeric(c) and _scores(c.name, mark, kinds)]
            for mark in marks
        ]
        if all(len(columns) == 1 for columns in rated):
            draft.give("scores", *(columns[0] for columns in rated))
            return {"ranking": ranking}
        for columns in rated:
            if len(columns) > 1:
                draft.pick("scores", columns)
    return None


def _scores(name: str, mark: str, kinds: set[str]) -> bool:
    spoken = set(words(name))
    rest = spoken - {mark, "overall", "human", "model", *RESPONSE}
    return mark in spoken and bool(rest) and rest <= kinds


def _order(draft: Draft, marks: Sequence[str]) -> dict[str, object] | None:
    return {"ranking": "order"} if tuple(marks) in _ORDERED else None


def rank_list(draft: Draft) -> dict[str, object] | None:
    """Give ``responses`` to a column of lists; how they are ranked, None where nothing says."""
    found = draft.of("responses") or [
        c
        for c in draft.free
        if is_response_list(c.name) and {c.kind, c.inner} & {"texts", "records"}
    ]
    for column in found:
        ranking = _list_ranking(draft, column)
        if ranking:
            draft.pick("responses", [column])
            return ranking
    return None


def _list_ranking(draft: Draft, column: Column) -> dict[str, object] | None:
    if "scores" in draft.roles:
        return {"ranking": "scores"}
    if "better" in draft.roles:
        return {"ranking": "verdict"}
    if column.content == "records" and _records_have(column, (*SCORE_KEYS, *RANK_KEYS)):
        return {"ranking": "records"}
    rated = [c for c in draft.free if "numbers" in (c.kind, c.inner)]
    for kinds, ranking in ((SCORES, "scores"), (RANKS, "ranks")):
        named = [c for c in rated if words(c.name) and words(c.name)[-1] in kinds]
        if named:
            draft.pick("scores", named)
            return {"ranking": ranking}
    chosen = [c for c in draft.free if is_verdict(c.name) and is_numeric(c)]
    if chosen and any(number(value) == 0 for value in chosen[0].values):  # counts from 0
        draft.pick("better", chosen)
        return {"ranking": "verdict"}
    return None


def _records_have(column: Column, keys: Sequence[str]) -> bool:
    values = [decode(v) if isinstance(v, str) else v for v in column.values]
    values = [records_in(v) if isinstance(v, dict) else v for v in values]
    records = [one for v in values if isinstance(v, list) for one in v if isinstance(one, dict)]
    return any(key in one for one in records for key in keys)


def is_numeric(column: Column) -> bool:
    read = [number(value) for value in column.values if value is not None and value != ""]
    return bool(read) and all(value is not None for value in read)
