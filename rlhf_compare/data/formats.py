"""One row, in any of five formats, to a conversation and K responses to it."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from rlhf_compare.data.conversation import (
    Turn,
    check_context,
    check_text,
    is_transcript,
    parse_messages,
    parse_turns,
    split_answer,
)
from rlhf_compare.data.reasons import RowDropError

Row = Mapping[str, object]


@dataclass(frozen=True)
class Example:
    """A conversation up to the last user turn, and K >= 0 responses to it.

    K = 0 is a prompt alone, K = 1 a demonstration; from K = 2 the scores rank.
    """

    turns: tuple[Turn, ...]
    responses: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()  # higher is better, equal = tie
    group: str | None = None  # rows of one group never part (a topic); None = the prompt decides
    unpaired: RowDropError | None = None  # why there is no second response, where one was given

    @property
    def user_turns(self) -> int:
        return sum(role == "user" for role, _ in self.turns)


def recognise(rows: Iterable[Row]) -> str | None:
    """The format of a source by the columns of its first rows; None if none fits."""
    rows = list(rows)
    columns = {name for row in rows for name, value in row.items() if value is not None}
    if "responses" in columns:
        return "ranked"
    if {"chosen", "rejected"} & columns:
        marked = any(is_transcript(row.get("prompt") or row.get("chosen")) for row in rows)
        return "hh" if marked else "preference"
    if "label" in columns:  # a completion marked bad must never become a demonstration
        return None
    if {"completion", "answer", "messages"} & columns:
        return "demonstrations"
    return "prompts" if {"prompt", "question"} & columns else None


def parse_row(row: Row, format_name: str, keep_multi_turn: bool) -> Example:
    """The example of a row.

    Raises:
        RowDropError: the row cannot be used.
    """
    example = _PARSERS[format_name](row, keep_multi_turn)
    if example.user_turns > 1 and not keep_multi_turn:
        raise RowDropError("multi_turn", f"{example.user_turns} human turns")
    return example


# --- hh-rlhf transcripts


def _parse_transcripts(row: Row, keep_multi_turn: bool) -> Example:
    opening = check_text(row["prompt"], "prompt") if row.get("prompt") is not None else ""
    texts = [opening + check_text(row.get(side), side) for side in ("chosen", "rejected")]
    # the chapter's rule counts the marker wherever it stands, also inside a line
    human = max(text.count("Human: ") for text in texts)
    if human >= 2 and not keep_multi_turn:
        raise RowDropError("multi_turn", f"{human} times 'Human: '")
    return _pair([parse_turns(text) for text in texts], row)


# --- TRL's preference format: explicit or implicit prompt, plain or conversational


def _parse_preference(row: Row, _: bool) -> Example:
    if row.get("prompt") is None and isinstance(row.get("chosen"), str):
        return _parse_implicit_text(row)
    context = _context(row) if row.get("prompt") is not None else ()
    return _pair([context + _answer_turns(row, side) for side in ("chosen", "rejected")], row)


def _parse_implicit_text(row: Row) -> Example:
    """Two whole texts and nothing that marks the prompt: it is what both begin with, to the last
    blank. Where both answers begin alike their start counts as prompt; that cannot be known."""
    texts = [check_text(row.get(side), side) for side in ("chosen", "rejected")]
    alike = [a == b for a, b in zip(*texts, strict=False)]
    common = texts[0][: alike.index(False) if False in alike else len(alike)]
    if texts[0] == texts[1]:
        raise RowDropError("equal_sides")
    cut = max(common.rfind(blank) for blank in " \n\t") if common[-1:].strip() else len(common) - 1
    cut = max(cut, 0)
    return _pair([(("user", text[:cut]), ("assistant", text[cut:])) for text in texts], row)


def _context(row: Row) -> tuple[Turn, ...]:
    field = "prompt" if row.get("prompt") is not None else "question"
    value = row.get(field)
    if isinstance(value, list):
        return parse_messages(value, field)
    text = check_text(value, "prompt" if value is None else field)
    return (("user", text.strip() if field == "question" else text),)


def _answer_turns(row: Row, field: str) -> tuple[Turn, ...]:
    value = row.get(field)
    if isinstance(value, list):
        return parse_messages(value, field)
    text = check_text(value, field)
    return (("assistant", text.strip() if field == "answer" else text),)


def _pair(sides: list[tuple[Turn, ...]], row: Row) -> Example:
    (turns, chosen), (other, rejected) = map(split_answer, sides)
    if not chosen.strip():
        raise RowDropError("empty_chosen")
    unpaired = None
    if turns != other:
        unpaired = RowDropError("prompts_differ")
    elif not rejected.strip():
        unpaired = RowDropError("empty_rejected")
    if unpaired:
        return Example(turns, (chosen,), (1.0,), _group(row), unpaired)
    return Example(turns, (chosen, rejected), (1.0, 0.0), _group(row))


# --- ranked lists


def _parse_ranked(row: Row, _: bool) -> Example:
    turns = _context(row)
    check_context(turns)
    given, scores = row.get("responses"), row.get("scores")
    for field, value in (("responses", given), ("scores", scores)):
        if value is None:
            raise RowDropError("missing_field", f"no field '{field}'")
    if not isinstance(given, list):
        raise RowDropError("not_text", f"field 'responses' is {type(given).__name__}, not a list")
    responses = [check_text(text, f"responses[{i}]") for i, text in enumerate(given)]
    numbers = _numbers(scores)
    if numbers is None or len(numbers) != len(responses):
        raise RowDropError("bad_scores", f"{len(responses)} responses, scores {str(scores)[:60]}")
    if len(responses) < 2:
        raise RowDropError("too_few_responses", f"{len(responses)}")
    if not responses[numbers.index(max(numbers))].strip():
        raise RowDropError("empty_chosen", "the response with the highest score")
    ranked = [(t, s) for t, s in zip(responses, numbers, strict=True) if t.strip()]
    if len(ranked) < 2:
        raise RowDropError("empty_rejected")
    texts, kept = zip(*ranked, strict=True)
    return Example(turns, texts, kept, _group(row))


def _numbers(values: object) -> list[float] | None:
    if not isinstance(values, list) or any(isinstance(v, bool) for v in values):
        return None
    try:
        numbers = [float(v) for v in values if isinstance(v, int | float)]
    except OverflowError:
        return None
    whole = len(numbers) == len(values) and all(map(math.isfinite, numbers))
    return numbers if whole else None


# --- demonstrations and prompts alone


def _parse_demonstration(row: Row, _: bool) -> Example:
    messages = row.get("messages")
    if isinstance(messages, list):
        turns, answer = split_answer(parse_messages(messages, "messages"))
    else:
        field = "answer" if row.get("answer") is not None else "completion"
        turns, answer = split_answer(_context(row) + _answer_turns(row, field))
    if not answer.strip():
        raise RowDropError("empty_chosen")
    return Example(turns, (answer,), (1.0,), _group(row))


def _parse_prompt(row: Row, _: bool) -> Example:
    turns = _context(row)
    while (
        turns and turns[-1][0] == "assistant"
    ):  # a whole conversation: its answer is not asked for
        turns = turns[:-1]
    check_context(turns)
    return Example(turns, group=_group(row))


def _group(row: Row) -> str | None:
    topic = row.get("topic")
    return check_text(topic, "topic") if isinstance(topic, str) and topic.strip() else None


_PARSERS: dict[str, Callable[[Row, bool], Example]] = {
    "hh": _parse_transcripts,
    "preference": _parse_preference,
    "ranked": _parse_ranked,
    "demonstrations": _parse_demonstration,
    "prompts": _parse_prompt,
}
