"""How a row says which of its responses is better: scores, higher is better; equal = tie."""

import math
from collections.abc import Callable, Sequence

from rlhf_compare.data.formats.layout import Cells
from rlhf_compare.data.formats.names import words
from rlhf_compare.data.formats.values import RANK_KEYS, SCORE_KEYS
from rlhf_compare.data.reasons import RowDropError

TIE_WORDS = {"tie", "tied", "draw", "equal", "same", "both"}
_BAD_WORDS = {"bad", "bothbad", "neither"}


def scores_of(cells: Cells, given: Sequence[object]) -> list[float]:
    """One finite number for each response.

    Raises:
        RowDropError: there is none, or not for each.
    """
    return _RANKINGS[cells.layout.ranking](cells, given)


def numbers(values: object, count: int) -> list[float]:
    """``count`` finite numbers.

    Raises:
        RowDropError: there are not as many.
    """
    read = [number(value) for value in values] if isinstance(values, list) else []
    found = [value for value in read if value is not None]
    if len(found) != count or len(read) != count:
        raise RowDropError("bad_scores", f"{count} responses, scores {str(values)[:60]}")
    return found


def number(value: object) -> float | None:
    """A finite number, also one that a text file wrote as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        read = float(value)
    except (OverflowError, ValueError):
        return None
    return read if math.isfinite(read) else None


def place_in(verdict: object, marks: Sequence[str]) -> int | str | None:
    """Which of the responses a verdict names: its place, ``tie``, ``bad`` or None.

    Args:
        marks: what each response is called: ``0``, ``1``, or ``a``, ``b``, or ``true``, ``false``.
    """
    if verdict is None:
        return None
    if isinstance(verdict, float) and verdict.is_integer():
        verdict = int(verdict)
    text = str(verdict).strip().removesuffix(".0")
    spoken = words(text)
    if set(spoken) & _BAD_WORDS:
        return "bad"
    if set(spoken) & TIE_WORDS:
        return "tie"
    named = [place for place, mark in enumerate(marks) if mark in spoken]
    return named[0] if len(named) == 1 else None


def _by_scores(cells: Cells, given: Sequence[object]) -> list[float]:
    """A list of scores, or a column of scores for each response."""
    columns = cells.columns("scores")
    if len(columns) != 1 or len(given) == 0:
        return numbers([value for _, value in columns], len(given))
    if columns[0][1] is None:
        raise RowDropError("missing_field", f"no field '{columns[0][0]}'")
    return numbers(columns[0][1], len(given))


def _by_ranks(cells: Cells, given: Sequence[object]) -> list[float]:
    return [-rank for rank in _by_scores(cells, given)]


def _by_records(cells: Cells, given: Sequence[object]) -> list[float]:
    """Each response is a record of its text and its score, or its rank (1 is the best)."""
    for keys, sign in ((SCORE_KEYS, 1.0), (RANK_KEYS, -1.0)):
        for key in keys:
            if any(isinstance(one, dict) and key in one for one in given):
                found = [one.get(key) if isinstance(one, dict) else None for one in given]
                return [sign * value for value in numbers(found, len(given))]
    raise RowDropError("bad_scores", "no response has a score or a rank")


def _by_verdict(cells: Cells, given: Sequence[object]) -> list[float]:
    """A column names the better response, or says that they tie."""
    name = cells.name("better")
    verdict = cells.get("better")
    place = place_in(verdict, cells.layout.marks or [str(i) for i in range(len(given))])
    if place == "bad":
        raise RowDropError("marked_bad", f"field '{name}': {str(verdict)[:40]}")
    if place is None or (isinstance(place, int) and place >= len(given)):
        raise RowDropError("bad_scores", f"field '{name}': {str(verdict)[:40]!r} names no response")
    return [float(place in (i, "tie")) for i in range(len(given))]


def _by_one_hot(cells: Cells, given: Sequence[object]) -> list[float]:
    """A column for each response says whether it won, and perhaps one whether they tie."""
    won = [number(int(v) if isinstance(v, bool) else v) for _, v in cells.columns("better")]
    if None in won or sum(value or 0 for value in won) != 1:
        raise RowDropError("bad_scores", f"not one of {', '.join(cells.layout.roles['better'])}")
    if 1.0 not in won[: len(given)]:
        return [1.0] * len(given)
    return [float(value or 0) for value in won[: len(given)]]


def _by_strength(cells: Cells, given: Sequence[object]) -> list[float]:
    """A signed number: below 0 the first is better, above 0 the second (as HelpSteer2 has it)."""
    strength = number(cells.get("better"))
    if strength is None or len(given) != 2:
        raise RowDropError("bad_scores", f"field '{cells.name('better')}' is no number")
    return [float(strength <= 0), float(strength >= 0)]


def _by_order(_: Cells, given: Sequence[object]) -> list[float]:
    """The first is better (``response_j`` before ``response_k``)."""
    return [1.0] + [0.0] * (len(given) - 1)


_RANKINGS: dict[str, Callable[[Cells, Sequence[object]], list[float]]] = {
    "scores": _by_scores,
    "ranks": _by_ranks,
    "records": _by_records,
    "verdict": _by_verdict,
    "one_hot": _by_one_hot,
    "strength": _by_strength,
    "order": _by_order,
}
