"""The conversation of a row up to its response, from whatever columns hold it."""

from rlhf_compare.data.conversation import (
    Turn,
    check_text,
    content_of,
    is_transcript,
    parse_messages,
    parse_turns,
)
from rlhf_compare.data.formats.layout import Cells
from rlhf_compare.data.formats.values import TEXT_KEYS, kind_of, texts_of
from rlhf_compare.data.reasons import RowDropError

Turns = tuple[Turn, ...]


def context_of(cells: Cells) -> Turns:
    """System turn, earlier turns, and the question; empty where no column holds any.

    Raises:
        RowDropError: a cell holds something else.
    """
    turns: Turns = ()
    there = [role for role in ("messages", "prompt") if cells.get(role) is not None]
    given = [role for role in there if kind_of(cells.get(role)) != "none"]
    for role in (given or there)[:1]:
        turns = turns_of(cells.get(role), cells.name(role), "user", cells.layout.transcripts)
        if role == "messages" and kind_of(cells.get(role)) == "texts":  # both speak in turns
            turns = tuple((("user", "assistant")[i % 2], t) for i, (_, t) in enumerate(turns))
    if len(given) == 2 and not texts_of(cells.get("prompt")) <= texts_of(cells.get("messages")):
        names = " and ".join(cells.name(role) for role in given)
        raise RowDropError("prompts_differ", f"fields {names} differ")
    turns = _with_input(cells, turns)
    turns = _history(cells) + turns if turns else turns
    return with_system(cells, turns)


def turns_of(value: object, field: str, speaker: str, transcripts: bool = False) -> Turns:
    """The turns that a cell holds.

    Args:
        speaker: who says a text that names no speaker.
        transcripts: whether a text that is marked as hh-rlhf marks it is parsed turn by turn.
    """
    kind = kind_of(value)
    if kind == "texts" and isinstance(value, list):  # as the arena's files write a conversation
        return tuple((speaker, check_text(text, field)) for text in value)
    if isinstance(value, list):
        return parse_messages(value, field)
    if isinstance(value, dict):
        if kind == "messages":
            if value.get("tools"):
                raise RowDropError("not_only_text", f"field '{field}': tools")
            return parse_messages(value["messages"], field)
        if kind == "message":
            return parse_messages([value], field)
        if kind == "tree":
            raise RowDropError("not_text", f"field '{field}' is a tree of replies")
        if kind == "record":
            value = next(value[key] for key in TEXT_KEYS if isinstance(value.get(key), str))
    text = check_text(value, field)
    if transcripts and is_transcript(text):
        turns = parse_turns(text)
        return turns[:-1] if turns[-1] == ("assistant", "") else turns
    if transcripts and speaker == "assistant":
        return parse_turns(f"\n\nAssistant: {text}")
    # two names under which question sets hold stray white space
    return ((speaker, text.strip() if field.lower() in ("question", "answer") else text),)


def _with_input(cells: Cells, turns: Turns) -> Turns:
    """An ``input`` column goes on after the instruction, on its own line."""
    given = cells.get("input")
    if given is None:
        return turns
    text = "".join(said for _, said in turns_of(given, cells.name("input"), "user"))
    if not text.strip():
        return turns
    if not turns or turns[-1][0] != "user":
        return (*turns, ("user", text))
    asked = turns[-1][1]
    return (*turns[:-1], ("user", f"{asked}\n{text}" if asked.strip() else text))


def _history(cells: Cells) -> Turns:
    """Earlier turns: pairs of a question and an answer, or messages."""
    value, field = cells.get("history"), cells.name("history")
    if kind_of(value) == "none":
        return ()
    if not isinstance(value, list):
        raise RowDropError("not_text", f"field '{field}' is {type(value).__name__}, not a list")
    if kind_of(value) != "pairs":
        return parse_messages(value, field)
    turns: list[Turn] = []
    for pair in value:
        if len(pair) != 2:
            raise RowDropError("not_text", f"field '{field}': a turn is no question and answer")
        turns += [
            ("user", check_text(pair[0], field)),
            ("assistant", check_text(pair[1], field)),
        ]
    return tuple(turns)


def with_system(cells: Cells, turns: Turns) -> Turns:
    """The system column's text before the turns, unless they begin with it."""
    value = cells.get("system")
    if value is None or not turns:
        return turns
    text = content_of(value, cells.name("system"))
    if not text.strip():
        return turns
    if turns[0][0] != "system":
        return (("system", text), *turns)
    if turns[0][1].strip() != text.strip():
        raise RowDropError(
            "roles_out_of_order", f"field '{cells.name('system')}' is not the system turn there is"
        )
    return turns


def joined(context: Turns, side: Turns, field: str) -> Turns:
    """A context and what answers it. A side that is a whole conversation stays as it is.

    Raises:
        RowDropError: the side is a whole conversation of another prompt.
    """
    if not context or not side:
        return context + side
    if side[0][0] == "assistant":
        return context + side
    if _begins_with(side, context) or _asks(side, context):
        return _merged(context, side)
    if context[-1][0] == "assistant":  # the side goes on with the next question
        return context + side
    raise RowDropError("prompts_differ", f"'{field}' is a conversation of another prompt")


def _merged(context: Turns, side: Turns) -> Turns:
    """The side, with the context's system turn where it has none."""
    head = context[:1] if context[0][0] == "system" and side[0][0] != "system" else ()
    return head + side


def _spoken(turns: Turns) -> list[Turn]:
    return [(role, text.strip()) for role, text in turns if role != "system"]


def _begins_with(side: Turns, context: Turns) -> bool:
    spoken = _spoken(context)
    return _spoken(side)[: len(spoken)] == spoken


def _asks(side: Turns, context: Turns) -> bool:
    """Whether a context of one question is a question of the side, first or later."""
    spoken = _spoken(context)
    return len(spoken) == 1 and spoken[0] in _spoken(side)
