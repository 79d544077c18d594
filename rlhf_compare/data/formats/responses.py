"""Which columns hold responses, and which say how good each is."""

from collections.abc import Sequence

from rlhf_compare.data.conversation import speaks_as_assistant
from rlhf_compare.data.formats.columns import Column
from rlhf_compare.data.formats.draft import Draft, LayoutError
from rlhf_compare.data.formats.marks import are_flags, label_sense
from rlhf_compare.data.formats.names import (
    RANKS,
    RESPONSE,
    SCORES,
    is_completion,
    is_response_list,
    names_a_model,
    numbered,
    side_of,
    words,
)
from rlhf_compare.data.formats.rankings import number
from rlhf_compare.data.formats.values import RANK_KEYS, SCORE_KEYS, decode, records_in
from rlhf_compare.data.formats.verdicts import (
    find_label,
    find_one_hot,
    find_place_in_list,
    find_strength,
    find_true_or_false,
    find_verdict,
    names_in_list,
    names_response,
    refuse_unclear_labels,
)

_LISTS = {"texts", "records", "numbers"}
_ORDERED = (("j", "k"),)  # response_j is the better one wherever it has been published


def find_sides(draft: Draft) -> None:
    """Give ``chosen`` and ``rejected``, and their scores."""
    verdicts = {name for name, c in draft.columns.items() if _names_a_response(draft, c)}
    numbers = _number_sides(draft)
    for side in ("chosen", "rejected"):
        found = [c for c in draft.free if c.is_one_response and side_of(c.name) == side]
        found = [c for c in found if c.name not in verdicts and not _marks_an_answer(draft, c)]
        draft.pick(side, found or numbers.get(side, []))
        numeric = [c for c in draft.free if is_numeric(c) and set(words(c.name)) & SCORES]
        rated = [c for c in numeric if side_of(_without(c.name, SCORES)) == side]
        if {"chosen", "rejected"} & set(draft.roles) and len(rated) == 1:
            draft.pick(f"score_{side}", rated)


def _number_sides(draft: Draft) -> dict[str, list[Column]]:
    """The columns of both sides, where both hold numbers and nothing that these could count."""
    sides = {
        side: [c for c in draft.free if c.kind == "number" and side_of(c.name) == side]
        for side in ("chosen", "rejected")
    }
    counted = bool(find_groups(draft)) or any(is_response_list(c.name) for c in draft.free)
    return {} if counted or not all(sides.values()) else sides


def _marks_an_answer(draft: Draft, column: Column) -> bool:
    """Whether a column of true and false stands beside a text that it speaks of: ``refused: yes``
    beside ``response``. Two sides of yes and no are answers."""
    if not are_flags(column.values):
        return False
    others = [c for c in draft.free if c is not column and c.kind == "text"]
    return any(is_completion(c.name) and not are_flags(c.values) for c in others)


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
        if name and label_sense(" ".join(name[0])) is not None and are_flags(column.values):
            continue  # response_1_deleted
        if names_a_model(column.name) and column.is_sentences:
            name = (("model",), words(column.name)[1])
        if name and column.has_text and side_of(column.name) is None:
            groups.setdefault(name[0], []).append((name[1], column))
    return [sorted(g, key=lambda pair: pair[0]) for g in groups.values() if len(g) > 1]


def _names_a_response(draft: Draft, column: Column) -> bool:
    """Whether a column's values name one of the numbered responses, as ``winner: model_a`` does."""
    groups = find_groups(draft)
    if groups:
        return names_response(column, [mark for mark, _ in groups[0]])
    return any(names_in_list(column, c) for c in draft.free if _is_list(c))


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
    for rule in _RULES:
        found = rule(draft, marks)
        if found:
            return found
    refuse_unclear_labels(draft, [column.name for column in columns])
    names = ", ".join(column.name for column in columns)
    raise LayoutError(
        f"{names}: no column says which is better (a number or name as in better_response_id or "
        "winner, or a score for each); say which does with data.columns={better: ...} or "
        f"{{scores: [...]}}, or which side is which with data.columns={{chosen: "
        f"{columns[0].name}, rejected: {columns[1].name}}}"
    )


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


_RULES = (
    find_verdict, find_one_hot, find_true_or_false, find_strength, _score_columns, find_label,
    _order,
)  # fmt: skip


def rank_list(draft: Draft) -> dict[str, object] | None:
    """Give ``responses`` to a column of lists; how they are ranked, None where nothing says."""
    found = draft.of("responses") or [c for c in draft.free if _is_list(c)]
    for column in found:
        ranking = _list_ranking(draft, column)
        if ranking:
            draft.pick("responses", [column])
            return ranking
    return None


def _is_list(column: Column) -> bool:
    known = bool(_LISTS & {column.kind, column.inner})
    return is_response_list(column.name) and (known or _are_answers(column))


def _are_answers(column: Column) -> bool:
    """Whether the cells are lists of several messages of the assistant alone."""
    if column.content != "messages":
        return False
    read = [decode(v) if isinstance(v, str) else v for v in column.values]
    lists = [one for one in read if isinstance(one, list)]
    return any(len(one) > 1 for one in lists) and all(
        isinstance(message, dict) and speaks_as_assistant(message) for v in lists for message in v
    )


def _list_ranking(draft: Draft, column: Column) -> dict[str, object] | None:
    if "scores" in draft.roles:
        return {"ranking": "scores"}
    if "better" in draft.roles:
        return find_place_in_list(draft, column)
    records = column.content in ("records", "messages")
    if records and _records_have(column, (*SCORE_KEYS, *RANK_KEYS)):
        return {"ranking": "records"}
    rated = [c for c in draft.free if "numbers" in (c.kind, c.inner) and c is not column]
    for kinds, ranking in ((SCORES, "scores"), (RANKS, "ranks")):
        named = [c for c in rated if words(c.name) and words(c.name)[-1] in kinds]
        if named:
            draft.pick("scores", named)
            return {"ranking": ranking}
    return find_place_in_list(draft, column)


def _records_have(column: Column, keys: Sequence[str]) -> bool:
    values = [decode(v) if isinstance(v, str) else v for v in column.values]
    values = [records_in(v) if isinstance(v, dict) else v for v in values]
    records = [one for v in values if isinstance(v, list) for one in v if isinstance(one, dict)]
    return any(key in one for one in records for key in keys)


def is_numeric(column: Column) -> bool:
    read = [number(value) for value in column.values if value is not None and value != ""]
    return bool(read) and all(value is not None for value in read)
