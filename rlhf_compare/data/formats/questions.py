"""Which columns hold the question: prompt, system turn, earlier turns, input."""

from typing import Any

from rlhf_compare.data.conversation import is_message_list, parse_messages
from rlhf_compare.data.formats.columns import Column, never_together, says_the_same, share
from rlhf_compare.data.formats.draft import Draft, LayoutError
from rlhf_compare.data.formats.names import (
    PROMPTS,
    input_rank,
    is_conversation,
    is_history,
    is_system,
    prompt_rank,
    squashed,
)
from rlhf_compare.data.formats.values import decode
from rlhf_compare.data.reasons import RowDropError


def find_conversation(draft: Draft) -> None:
    """Give ``messages``, unless the column says what prompt and responses say anyway.

    Raises:
        LayoutError: the prompt is another than the conversation's.
    """
    if "messages" in draft.roles:
        return
    sides = [c for role in ("chosen", "rejected", "responses") for c in draft.of(role)]
    prompts = [c for c in draft.free if _is_prompt(c)] + draft.of("prompt")
    whole = bool(prompts) or bool(sides and opens_with_question(sides[0]))
    kept = []
    for column in draft.free:
        listed = column.content == "messages" or "texts" in (column.kind, column.inner)
        if not is_conversation(column.name) or not listed or column in prompts:
            continue
        if sides and whole and says_the_same(column, [*prompts, *sides]):
            draft.repeats.add(column.name)
        else:
            kept.append(column)
    for column in kept:
        _refuse_questions_of_one(column)
    draft.pick("messages", kept)
    if not kept:
        return
    for prompt in prompts:
        if not prompt.has_text or never_together(prompt, kept[0]):
            continue
        if says_the_same(prompt, draft.of("messages")):
            draft.repeats.add(prompt.name)
        else:
            raise LayoutError(
                f"{prompt.name} and {kept[0].name} may both be the prompt; say which is, for "
                f"instance data.columns={{prompt: {prompt.name}}}"
            )


def _refuse_questions_of_one(column: Column) -> None:
    """A list of texts under ``turns`` is what one person asks, one after the other, as often as
    what two say in turn: nothing tells."""
    several = any(isinstance(value, list) and len(value) > 1 for value in column.values)
    if squashed(column.name) == "turns" and column.content == "texts" and several:
        raise LayoutError(
            f"{column.name} holds lists of texts, and nothing says who speaks: if question and "
            f"answer take turns, say data.columns={{messages: {column.name}}}, else write messages "
            "with role and content"
        )


def find_question(draft: Draft) -> None:
    """Give ``prompt``, ``input``, ``history``, ``system`` and ``topic``.

    Raises:
        LayoutError: two columns may be the prompt and differ.
    """
    asked = [c for c in draft.free if _is_prompt(c)]
    asked.sort(key=lambda c: prompt_rank(c.name) or 0)
    apart = [c for c in asked if never_together(c, *draft.of("messages"))]
    asked = asked if "messages" not in draft.roles else [c for c in apart if c.has_text]
    if asked and "prompt" not in draft.roles:
        texts = [c for c in asked if c.has_text]
        # a user's name or number may stand in a column "user"
        texts = [c for c in texts if prompt_rank(c.name) != PROMPTS.index("user")] or texts
        draft.pick("prompt", texts or asked[:1])
    inputs = sorted(
        (c for c in draft.free if input_rank(c.name) is not None),
        key=lambda c: (c.kind == "none", input_rank(c.name) or 0),
    )
    inputs = [c for c in inputs if c.has_text or c.kind == "none"]
    earlier = [c for c in draft.free if is_history(c.name)]
    if "messages" not in draft.roles and "prompt" not in draft.roles:
        last = inputs[:1] or [c for c in earlier if c.content == "text"][:1]
        draft.pick("prompt", [c for c in last if c.has_text])
    inputs = [c for c in inputs if c in draft.free and c.content in ("text", "none")]
    filled = [c for c in inputs if c.has_text]
    draft.pick("input", filled or inputs[:1])
    earlier = [c for c in earlier if c in draft.free]
    draft.pick("history", [c for c in earlier if c.content != "text"])
    untold = [c.name for c in earlier if c in draft.free and c.name not in draft.repeats]
    if untold and not draft.told:
        raise LayoutError(
            f"{untold[0]} may hold earlier turns, and its text does not say who speaks; write "
            "messages or pairs of question and answer there, or leave it unread: name the format "
            "in data.format"
        )
    draft.pick("system", [c for c in draft.free if is_system(c.name)])
    draft.pick("topic", [c for c in draft.free if c.name == "topic" and c.kind == "text"])
    _refuse_trees(draft)


def _is_prompt(column: Column) -> bool:
    if prompt_rank(column.name) is None or column.kind in ("number", "bool", "numbers", "other"):
        return False
    return not (is_conversation(column.name) and column.content == "messages") or (
        "prompt" in column.name.lower()
    )


def _refuse_trees(draft: Draft) -> None:
    if any(column.kind == "tree" for column in draft.columns.values()):
        raise LayoutError(
            "rows are trees of messages; write one row for each prompt, with its replies in "
            "responses and their order in ranks, or chosen and rejected"
        )
    if {"parentid", "role"} <= {squashed(name) for name in draft.columns}:
        raise LayoutError(
            "rows are single messages of a tree (parent_id, role); write one row for each "
            "prompt, with its replies in responses and their order in ranks"
        )


def ends_with_answer(column: Column) -> bool:
    """Whether most conversations of a column end in an assistant's turn."""
    speakers = _speakers(column, -1)
    lists = [v for v in column.values if isinstance(v, list) and not is_message_list(v) and v]
    ends = [speaker == "assistant" for speaker in speakers] + [len(v) % 2 == 0 for v in lists]
    return not ends or share(ends) >= 0.5


def opens_with_question(column: Column) -> bool:
    """Whether most values of a column are conversations from their first turn on."""
    speakers = _speakers(column, 0)
    return bool(speakers) and share([speaker != "assistant" for speaker in speakers]) >= 0.5


def _speakers(column: Column, place: int) -> list[str]:
    """Who speaks first (place 0) or last (-1) in each conversation of a column."""
    found = []
    for value in column.values:
        given: Any = decode(value) if isinstance(value, str) else value
        messages = given.get("messages") if isinstance(given, dict) else given
        if isinstance(messages, list) and is_message_list(messages):
            try:
                found.append(parse_messages([messages[place]], column.name)[0][0])
            except RowDropError:
                continue
    return found
