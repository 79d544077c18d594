"""Conversations: a tuple of turns, from transcripts or from lists of messages."""

import re
from typing import Any

from rlhf_compare.data.reasons import RowDropError

Turn = tuple[str, str]  # role (system, user, assistant) and text

# hh-rlhf marks turns like this, each after a blank line. A marker inside a line is content.
_TURN = re.compile(r"(?:^|\n\n)(Human|Assistant): ?")
_ROLES = {"Human": "user", "Assistant": "assistant"}


def is_transcript(text: object) -> bool:
    """Whether a text is written as an hh-rlhf transcript."""
    return isinstance(text, str) and any(m[1] == "Human" for m in _TURN.finditer(text))


def parse_turns(transcript: str) -> tuple[Turn, ...]:
    """The turns of an hh-rlhf transcript, texts stripped.

    The turns are parsed, not the longest common prefix of two transcripts: that puts the start of
    the answer into the prompt wherever both answers begin alike.

    Raises:
        RowDropError: text stands before the first turn.
    """
    preamble, *pieces = _TURN.split(transcript)
    if preamble.strip() and pieces:
        raise RowDropError("roles_out_of_order", "text before the first turn")
    roles, texts = pieces[::2], pieces[1::2]
    return tuple((_ROLES[role], text.strip()) for role, text in zip(roles, texts, strict=True))


def parse_messages(value: list[Any], field: str) -> tuple[Turn, ...]:
    """The turns of a list of ``{"role", "content"}`` messages.

    Raises:
        RowDropError: a message is none, or has a role that no chat format knows.
    """
    turns = []
    for place, message in enumerate(value):
        where = f"'{field}', message {place + 1}"
        if not isinstance(message, dict) or not {"role", "content"} <= set(message):
            raise RowDropError("missing_field", f"{where}: needs role and content")
        role = message["role"]
        if role not in ("system", "user", "assistant"):
            raise RowDropError("roles_out_of_order", f"{where}: unknown role {str(role)[:40]!r}")
        turns.append((str(role), check_text(message["content"], f"content of {where}")))
    return tuple(turns)


def check_text(value: object, field: str) -> str:
    """``value``, if it is text that every tokenizer and file format can take.

    Raises:
        RowDropError: it is missing, no text, half a character, or holds NUL.
    """
    if value is None:
        raise RowDropError("missing_field", f"no field '{field}'")
    if not isinstance(value, str):
        raise RowDropError("not_text", f"field '{field}' is {type(value).__name__}, expected text")
    if "\0" in value:
        raise RowDropError("nul_character", f"field '{field}', character {value.index(chr(0)) + 1}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        where = f"field '{field}', character {error.start + 1}"
        raise RowDropError("invalid_utf8", where) from error
    return value


def split_answer(turns: tuple[Turn, ...]) -> tuple[tuple[Turn, ...], str]:
    """The conversation up to the last user turn, and the assistant's answer to it.

    Raises:
        RowDropError: the turns are not (system,) user, assistant, user, ..., assistant.
    """
    if not turns or turns[-1][0] != "assistant":
        raise RowDropError("no_assistant_turn")
    check_context(turns[:-1])
    return turns[:-1], turns[-1][1]


def check_context(turns: tuple[Turn, ...]) -> None:
    """Assert that turns are (system,) user, assistant, ..., user.

    Raises:
        RowDropError: they are in another order, or the last question is empty.
    """
    spoken = turns[1:] if turns and turns[0][0] == "system" else turns
    if not spoken:
        raise RowDropError("empty_prompt", "no user turn")
    roles = [role for role, _ in spoken]
    if roles != [("user", "assistant")[i % 2] for i in range(len(roles))] or roles[-1] != "user":
        raise RowDropError("roles_out_of_order", " ".join(roles[:12]))
    if not spoken[-1][1].strip():
        raise RowDropError("empty_prompt")
