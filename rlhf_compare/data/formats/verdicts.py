"""Which column names the better of several responses, and what it calls each of them."""

from collections.abc import Iterable, Sequence

from rlhf_compare.data.formats.columns import Column
from rlhf_compare.data.formats.draft import Draft, LayoutError
from rlhf_compare.data.formats.marks import are_flags
from rlhf_compare.data.formats.names import RESPONSE, VERDICTS, is_pair_label, is_verdict, words
from rlhf_compare.data.formats.rankings import TIE_WORDS, number, place_in
from rlhf_compare.data.formats.values import decode

Ranking = dict[str, object]
# What a verdict may call the two responses of a pair, whatever their columns are called.
_OTHER_NAMES = (("first", "second"), ("left", "right"))
_MOST_WORDS = 3  # "A is better"; in prose "a" names nothing
_LETTERS = "abcdefghij"
_TRUE_OR_FALSE = (("true", "false"), ("1", "0"), ("yes", "no"))
_PREFERS = VERDICTS | {"prefer", "prefers", "wins", "beats"}
_WORDS_AROUND = RESPONSE | _PREFERS | {"is", "was", "the", "human", "model"}


def names_response(column: Column, marks: Sequence[str]) -> bool:
    """Whether a column's values name one of the numbered responses, as ``winner: model_a`` does."""
    return is_verdict(column.name) and _marks_of(column, marks) is not None


def find_verdict(draft: Draft, marks: Sequence[str]) -> Ranking | None:
    """Give ``better`` to the column whose values name the better response."""
    if len(draft.roles.get("better", ())) > 1:
        return None
    given = draft.of("better")
    found = given or [c for c in draft.free if is_verdict(c.name) and not is_signed(c)]
    return _named(draft, found, marks)


def _named(draft: Draft, columns: Iterable[Column], marks: Sequence[str]) -> Ranking | None:
    meant = {c.name: (c, _marks_of(c, marks)) for c in columns}
    found = [column for column, called in meant.values() if called]
    if not found:
        return None
    draft.pick("better", found)
    return {"ranking": "verdict", "marks": tuple(meant[draft.roles["better"][0]][1] or ())}


def _marks_of(column: Column, marks: Sequence[str]) -> list[str] | None:
    """What a verdict column calls each response; None where it names none, or may mean two."""
    values = _there(column)
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
    names = [tuple(marks), *(_OTHER_NAMES if count == 2 else ())]
    return next((list(called) for called in names if _fit(values, called)), None)


def _fit(values: Sequence[object], marks: Sequence[str]) -> bool:
    """Whether nearly all values name one of the responses, or a tie, in a few words."""
    fits = [
        place_in(value, marks) is not None and len(words(str(value))) <= _MOST_WORDS
        for value in values
    ]
    return sum(fits) >= 0.9 * len(fits)


def find_one_hot(draft: Draft, marks: Sequence[str]) -> Ranking | None:
    """Give ``better`` to a column for each response, and perhaps one for ties: ``winner_a``."""
    if len(draft.roles.get("better", ())) > 1:
        return {"ranking": "one_hot"}
    named = [c for c in draft.free if set(words(c.name)) & VERDICTS and are_flags(c.values)]
    won = [[c for c in named if mark in words(c.name)] for mark in marks]
    if any(len(columns) != 1 for columns in won):
        return None
    ties = [c for c in named if set(words(c.name)) & TIE_WORDS]
    draft.give("better", *(columns[0] for columns in won), *ties)
    return {"ranking": "one_hot"}


def find_true_or_false(draft: Draft, marks: Sequence[str]) -> Ranking | None:
    """Give ``better`` to a column that says whether one of two is better: ``a_is_better``."""
    if len(marks) != 2:
        return None
    for column in draft.free:
        place = _asks_about(column.name, marks)
        if place is None:
            continue
        for names in _TRUE_OR_FALSE:
            values = [_word(value) for value in _there(column)]
            if values and set(values) <= set(names):
                draft.give("better", column)
                return {"ranking": "verdict", "marks": names if place == 0 else names[::-1]}
    return None


def _asks_about(name: str, marks: Sequence[str]) -> int | None:
    """Which of two responses a column says of whether it is the better one."""
    spoken = set(words(name))
    named = [i for i, m in enumerate(marks) if m in spoken or ("first", "second")[i] in spoken]
    if len(named) != 1 or not spoken & _PREFERS:
        return None
    rest = spoken - {marks[named[0]], ("first", "second")[named[0]]}
    return named[0] if rest <= _WORDS_AROUND else None


def find_strength(draft: Draft, marks: Sequence[str]) -> Ranking | None:
    """Give ``better`` to a signed number: below 0 the first of two is better."""
    given = draft.of("better")
    found = given or [c for c in draft.free if is_verdict(c.name) and is_signed(c)]
    if len(marks) != 2 or not found or all(number(value) is None for value in found[0].values):
        return None
    draft.pick("better", found)
    return {"ranking": "strength"}


def is_signed(column: Column) -> bool:
    read = [number(value) for value in column.values]
    if "strength" in words(column.name):
        return any(value is not None for value in read)
    return any(value is not None and value < 0 for value in read)


def find_label(draft: Draft, marks: Sequence[str]) -> Ranking | None:
    """Give ``better`` to a column called label whose values can mean one thing alone."""
    labels = [c for c in draft.free if is_pair_label(c.name)]
    return _named(draft, [c for c in labels if not _may_mean_either(c, marks)], marks)


def _may_mean_either(column: Column, marks: Sequence[str]) -> bool:
    """Whether 1 may be the second response, or say that the first is the better one."""
    return not marks[0].isdigit() and {_word(value) for value in _there(column)} <= {"0", "1"}


def refuse_unclear_labels(draft: Draft, names: Sequence[str]) -> None:
    """Raises LayoutError where a label says which of two is better, and nobody knows how.

    Args:
        names: what the responses are called.
    """
    for column in draft.free:
        values = list(dict.fromkeys(_word(value) for value in _there(column)))
        known = {word for pair in _TRUE_OR_FALSE for word in pair} | {"-1", "2"}
        if is_pair_label(column.name) and len(names) == 2 and values and set(values) <= known:
            raise LayoutError(
                f"{column.name} does not say which is better: it holds {' and '.join(values)}, "
                f"and each may mean {names[0]} or {names[1]}; write first or second there, or, "
                f"where 0 is the first and 1 the second, data.columns={{better: {column.name}}}"
            )


def find_place_in_list(draft: Draft, column: Column) -> Ranking | None:
    """Give ``better`` to the column that says which response of a list is the best one.

    Raises:
        LayoutError: a label may mean either of two.
    """
    for verdict in draft.of("better")[:1]:
        called = _names_in_list(verdict, column)
        if not called:
            raise LayoutError(
                f"{verdict.name} names none of the responses in {column.name}; write the number of "
                "the better one there, from 0, or its letter"
            )
        return {"ranking": "verdict", "marks": tuple(called)}
    for verdict in draft.free:
        called = names_in_list(verdict, column)
        if called:
            draft.give("better", verdict)
            return {"ranking": "verdict", "marks": tuple(called)}
        if is_pair_label(verdict.name) and _count(column) == 2:
            refuse_unclear_labels(draft, ("the first", "the second"))
    return None


def names_in_list(verdict: Column, column: Column) -> Sequence[str] | None:
    """What a verdict column calls each response of a list; None where it names none."""
    label = is_pair_label(verdict.name)
    if not (label or is_verdict(verdict.name)):
        return None
    if label and _count(column) == 2 and {_word(value) for value in _there(verdict)} <= {"0", "1"}:
        return None
    return _names_in_list(verdict, column)


def _names_in_list(verdict: Column, column: Column) -> Sequence[str] | None:
    values, count = _there(verdict), _count(column)
    said = {_word(value) for value in values}
    if not values or count < 2:
        return None
    # a number counts from 0 where a 0 is there, from 1 where the last one is
    first = 0 if "0" in said else 1 if str(count) in said else None
    names: list[Sequence[str]] = (
        [] if first is None else [list(map(str, range(first, first + count)))]
    )
    names += [_LETTERS[:count]] if count <= len(_LETTERS) else []
    names += _OTHER_NAMES if count == 2 else ()
    return next((called for called in names if _fit(values, called)), None)


def _count(column: Column) -> int:
    """How many responses the longest list of a column holds."""
    lists = [decode(value) if isinstance(value, str) else value for value in column.values]
    return max((len(value) for value in lists if isinstance(value, list)), default=0)


def _there(column: Column) -> list[object]:
    return [value for value in column.values if value is not None and value != ""]


def _word(value: object) -> str:
    return str(value).strip().lower().removesuffix(".0")
