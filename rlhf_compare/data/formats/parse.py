"""One row, seen through its source's layout, to a conversation and K responses to it."""

from collections.abc import Callable, Sequence

from rlhf_compare.data.conversation import (
    check_context,
    check_text,
    is_message_list,
    is_transcript,
    parse_turns,
    split_answer,
)
from rlhf_compare.data.formats.context import Turns, context_of, joined, turns_of, with_system
from rlhf_compare.data.formats.example import Example, Row
from rlhf_compare.data.formats.layout import Cells, Layout
from rlhf_compare.data.formats.marked import mark_of_best, refuse_gone, refuse_marked_bad
from rlhf_compare.data.formats.rankings import number, scores_of
from rlhf_compare.data.formats.values import (
    SCORE_KEYS,
    TEXT_KEYS,
    kind_of,
    last_record,
    number_as_text,
)
from rlhf_compare.data.reasons import RowDropError


def parse_row(row: Row, layout: Layout, keep_multi_turn: bool) -> Example:
    """The example of a row.

    Raises:
        RowDropError: the row cannot be used.
    """
    cells = Cells(row, layout)
    cells.require_no_news()
    example = _PARSERS[layout.format](cells, keep_multi_turn)
    refuse_gone(example)
    if example.user_turns > 1 and not keep_multi_turn:
        raise RowDropError("multi_turn", f"{example.user_turns} human turns")
    return example


# --- hh-rlhf transcripts


def _parse_transcripts(cells: Cells, keep_multi_turn: bool) -> Example:
    prompt = cells.get("prompt")
    opening = check_text(prompt, cells.name("prompt")) if prompt is not None else ""
    texts = [check_text(cells.get(side), cells.name(side)) for side in ("chosen", "rejected")]
    texts = [text if text.startswith(opening) else opening + text for text in texts]
    # the chapter's rule counts the marker wherever it stands, also inside a line
    human = max(text.count("Human: ") for text in texts)
    if human >= 2 and not keep_multi_turn:
        raise RowDropError("multi_turn", f"{human} times 'Human: '")
    return _pair(cells, [with_system(cells, parse_turns(text)) for text in texts])


# --- two sides: TRL's preference format and all that is like it


def _parse_preference(cells: Cells, _: bool) -> Example:
    if "chosen" not in cells.layout.roles:
        return _parse_conversation_and_rejected(cells)
    chosen = cells.get("chosen")
    context = context_of(cells)
    if not context and isinstance(chosen, str):
        asked = [role for role in ("messages", "prompt") if role in cells.layout.roles]
        if asked and not is_transcript(chosen):  # others have a prompt, this one lost its own
            raise RowDropError("missing_field", f"no field '{cells.name(asked[0])}'")
        return _parse_implicit_text(cells)
    names = [cells.name(side) for side in ("chosen", "rejected")]
    values = [cells.get(side) for side in ("chosen", "rejected")]
    if all(kind_of(value) == "number" for value in values):
        values = list(map(number_as_text, values))
    if cells.layout.repeated:
        values = _without_prompt(context[-1][1], values)
    sides = [turns_of(v, name, "assistant") for v, name in zip(values, names, strict=True)]
    if context and context[-1][0] == "assistant" and any(s == context[-1:] for s in sides):
        context = context[:-1]  # the conversation column ends with the answer of one side
    sides = _arena(context, sides)
    whole = [joined(context, side, name) for side, name in zip(sides, names, strict=True)]
    return _pair(cells, [with_system(cells, turns) for turns in whole])


def _parse_conversation_and_rejected(cells: Cells) -> Example:
    """A conversation whose last turn is the chosen answer, and the rejected one beside it."""
    chosen = context_of(cells)
    if not chosen or chosen[-1][0] != "assistant":
        raise RowDropError("no_assistant_turn")
    name = cells.name("rejected")
    rejected = turns_of(cells.get("rejected"), name, "assistant")
    return _pair(cells, [chosen, joined(chosen[:-1], rejected, name)])


def _without_prompt(prompt: str, values: Sequence[object]) -> list[object]:
    """The sides without the prompt that each repeats."""
    if all(isinstance(v, str) and v.startswith(prompt) for v in values):
        return [str(value)[len(prompt) :] for value in values]
    return list(values)


def _arena(context: Turns, sides: Sequence[Turns]) -> list[Turns]:
    """Prompts as a list and answers as lists of the same length: a conversation, turn by turn."""
    asked = len(context)
    if asked < 2 or any(role != "user" for role, _ in context):
        return list(sides)
    if any(len(side) != asked or {r for r, _ in side} != {"assistant"} for side in sides):
        return list(sides)
    return [tuple(t for pair in zip(context, side, strict=True) for t in pair) for side in sides]


def _parse_implicit_text(cells: Cells) -> Example:
    """Two whole texts and nothing that marks the prompt: it is what both begin with, to the last
    blank. Where both answers begin alike their start counts as prompt; that cannot be known."""
    texts = [check_text(cells.get(side), cells.name(side)) for side in ("chosen", "rejected")]
    if all(map(is_transcript, texts)):  # one among plain rows
        return _pair(cells, [parse_turns(text) for text in texts])
    alike = [a == b for a, b in zip(*texts, strict=False)]
    common = texts[0][: alike.index(False) if False in alike else len(alike)]
    if texts[0] == texts[1]:
        raise RowDropError("equal_sides")
    cut = max(common.rfind(blank) for blank in " \n\t") if common[-1:].strip() else len(common) - 1
    cut = max(cut, 0)
    return _pair(cells, [(("user", text[:cut]), ("assistant", text[cut:])) for text in texts])


def _pair(cells: Cells, sides: Sequence[Turns]) -> Example:
    (turns, chosen), (other, rejected) = map(split_answer, sides)
    if not chosen.strip():
        raise RowDropError("empty_chosen")
    group = _group(cells)
    unpaired = None
    if turns != other:
        unpaired = RowDropError("prompts_differ")
    elif not rejected.strip():
        unpaired = RowDropError("empty_rejected")
    if unpaired:
        return Example(turns, (chosen,), (1.0,), group, unpaired)
    role = "chosen" if "chosen" in cells.layout.roles else "messages"
    marked = mark_of_best(cells, cells.name(role), cells.get(role))
    rated = [_score_of(cells, side) for side in ("chosen", "rejected")]
    tied = rated[0] is not None and rated[0] == rated[1]
    scores = (1.0, 1.0) if tied else (1.0, 0.0)
    return Example(turns, (chosen, rejected), scores, group, marked=marked)


def _score_of(cells: Cells, side: str) -> float | None:
    """The score of a side: in a column of its own, or inside its record or last message."""
    record = last_record(cells.get(side))
    inside = next((record[key] for key in SCORE_KEYS if key in record), None)
    return number(cells.get(f"score_{side}") if f"score_{side}" in cells.layout.roles else inside)


# --- ranked responses


def _parse_ranked(cells: Cells, _: bool) -> Example:
    columns = cells.columns("responses")
    turns = context_of(cells)
    if len(columns) > 1:
        return _parse_columns(cells, turns, columns)
    if not turns:
        raise RowDropError("missing_field", f"no field '{cells.name('prompt')}'")
    check_context(turns)
    name, given = columns[0]
    needed = [(name, given)]
    if cells.layout.ranking in ("scores", "ranks"):
        needed.append((cells.name("scores"), cells.get("scores")))
    for field, value in needed:
        if value is None:
            raise RowDropError("missing_field", f"no field '{field}'")
    if not isinstance(given, list):
        raise RowDropError("not_text", f"field '{name}' is {type(given).__name__}, not a list")
    texts = [_text_in(one, f"{name}[{i}]") for i, one in enumerate(given)]
    scores = scores_of(cells, given)
    best = scores.index(max(scores)) if scores else 0
    marked = mark_of_best(cells, name, given[best], best) if given else ""
    return _ranked(cells, turns, texts, scores, marked)


def _text_in(response: object, field: str) -> str:
    """The text of a response: alone, in a record, or as an assistant's only message."""
    if isinstance(response, dict):
        keys = (*TEXT_KEYS, "messages")
        response = next((response[k] for k in keys if response.get(k) is not None), None)
    if is_message_list(response) and isinstance(response, list) and len(response) == 1:
        return turns_of(response, field, "assistant")[0][1]
    return check_text(number_as_text(response), field)


def _parse_columns(cells: Cells, context: Turns, columns: list[tuple[str, object]]) -> Example:
    """Each response in a column of its own."""
    scores = scores_of(cells, [value for _, value in columns])
    there = [(n, v, s) for (n, v), s in zip(columns, scores, strict=True) if v is not None]
    if len(there) < 2:
        raise RowDropError("too_few_responses", f"{len(there)}")
    sides = _arena(context, [turns_of(value, name, "assistant") for name, value, _ in there])
    whole = [joined(context, side, n) for side, (n, _, _) in zip(sides, there, strict=True)]
    answered = [split_answer(with_system(cells, turns)) for turns in whole]
    scores = [score for _, _, score in there]
    place = scores.index(max(scores))
    turns, best = answered[place]
    if any(other != turns for other, _ in answered):
        if not best.strip():
            raise RowDropError("empty_chosen")
        differ = RowDropError("prompts_differ")
        return Example(turns, (best,), (1.0,), _group(cells), differ)
    marked = mark_of_best(cells, *there[place][:2])
    return _ranked(cells, turns, [answer for _, answer in answered], scores, marked)


def _ranked(
    cells: Cells, turns: Turns, texts: list[str], scores: list[float], marked: str
) -> Example:
    if len(texts) < 2:
        raise RowDropError("too_few_responses", f"{len(texts)}")
    if not texts[scores.index(max(scores))].strip():
        raise RowDropError("empty_chosen", "the response with the highest score")
    kept = [(text, score) for text, score in zip(texts, scores, strict=True) if text.strip()]
    if len(kept) < 2:
        raise RowDropError("empty_rejected")
    responses, numbers = zip(*kept, strict=True)
    return Example(turns, responses, numbers, _group(cells), marked=marked)


# --- demonstrations and prompts alone


def _parse_demonstration(cells: Cells, _: bool) -> Example:
    refuse_marked_bad(cells)
    turns = context_of(cells)
    if cells.get("messages") is None or cells.get("completion") is not None:
        name = cells.name("completion")
        value = number_as_text(cells.get("completion"))
        said = turns_of(value, name, "assistant", cells.layout.transcripts)
        if not turns and said[0][0] == "assistant":
            raise RowDropError("missing_field", f"no field '{cells.name('prompt')}'")
        turns = joined(turns, said, name)
    context, answer = split_answer(turns)
    if not answer.strip():
        raise RowDropError("empty_chosen")
    return Example(context, (answer,), (1.0,), _group(cells))


def _parse_prompt(cells: Cells, _: bool) -> Example:
    turns = context_of(cells)
    if not turns:
        raise RowDropError("missing_field", f"no field '{cells.name('prompt')}'")
    # a whole conversation: its answer is not asked for
    while turns and turns[-1][0] == "assistant":
        turns = turns[:-1]
    check_context(turns)
    return Example(turns, group=_group(cells))


def _group(cells: Cells) -> str | None:
    topic = cells.get("topic")
    name = cells.name("topic")
    return check_text(topic, name) if isinstance(topic, str) and topic.strip() else None


_PARSERS: dict[str, Callable[[Cells, bool], Example]] = {
    "hh": _parse_transcripts,
    "preference": _parse_preference,
    "ranked": _parse_ranked,
    "demonstrations": _parse_demonstration,
    "prompts": _parse_prompt,
}
