"""Conversations: a tuple of turns, from transcripts or from lists of messages."""

import re
from typing import Any

from rlhf_compare.data.reasons import RowDropError

Turn = tuple[str, str]  # role (system, user, assistant) and text

# hh-rlhf marks turns like this, each after a blank line. A marker inside a line is content.
_TURN = re.compile(r"(?:^|\n\n)(Human|Assistant): ?")
# where no blank line marks an answer, turns may stand on lines
_LINE_TURN = re.compile(r"(?:^|\n+)(Human|Assistant): ?")
_SPEAKERS = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "chatbot", "bot", "model", "ai"), "assistant"),
}
# The fields of a message: who speaks, and what. OpenAI's and TRL's, ShareGPT's, and mixtures.
_FIELDS = (
    ("role", "content"),
    ("from", "value"),
    ("role", "value"),
    ("role", "text"),
    ("from", "content"),
    ("speaker", "text"),
)
_PART_TEXTS = ("text", "value", "content")
_CALLS = ("tool_calls", "function_call")


def is_transcript(text: object) -> bool:
    """Whether a text is an hh-rlhf transcript: its first turn is marked, and a human speaks."""
    if not isinstance(text, str):
        return False
    preamble, *pieces = _pieces(text)
    return not preamble.strip() and "Human" in pieces[::2]


def _pieces(text: str) -> list[str]:
    """What stands before the first turn, then who speaks and what is said, in turns."""
    pieces = _TURN.split(text)
    if len(pieces) == 3 and pieces[1] == "Human" and "\nAssistant:" in text:
        return _LINE_TURN.split(text)
    return pieces


def is_message(value: object) -> bool:
    """Whether a value is one message: a dict of a speaker and a text."""
    return isinstance(value, dict) and any(who in value and what in value for who, what in _FIELDS)


def is_message_list(value: object) -> bool:
    """Whether a value is a list of messages, none of them necessarily sound."""
    return (
        isinstance(value, list)
        and len(value) > 0
        and all(isinstance(m, dict) and any(who in m for who, _ in _FIELDS) for m in value)
    )


def speaks_as_assistant(message: dict[str, Any]) -> bool:
    speaker = next((message[who] for who, _ in _FIELDS if who in message), None)
    return _SPEAKERS.get(str(speaker).lower()) == "assistant"


def parse_turns(transcript: str) -> tuple[Turn, ...]:
    """The turns of an hh-rlhf transcript, texts stripped.

    The turns are parsed, not the longest common prefix of two transcripts: that puts the start of
    the answer into the prompt wherever both answers begin alike.

    Raises:
        RowDropError: text stands before the first turn.
    """
    preamble, *pieces = _pieces(transcript)
    if preamble.strip() and pieces:
        raise RowDropError("roles_out_of_order", "text before the first turn")
    roles, texts = pieces[::2], pieces[1::2]
    return tuple(
        (_SPEAKERS[role.lower()], text.strip()) for role, text in zip(roles, texts, strict=True)
    )


def parse_messages(value: list[Any], field: str) -> tuple[Turn, ...]:
    """The turns of a list of messages, ``{"role", "content"}`` or ShareGPT's ``{"from", "value"}``.

    Raises:
        RowDropError: a message is none, has a role that no chat format knows, or holds something
            that is no text.
    """
    turns = []
    for place, message in enumerate(value):
        where = f"'{field}', message {place + 1}"
        fields = isinstance(message, dict) and next(
            ((who, what) for who, what in _FIELDS if who in message and what in message), None
        )
        if not fields:
            raise RowDropError("missing_field", f"{where}: needs role and content")
        role = message[fields[0]]
        if not isinstance(role, str) or role.lower() not in _SPEAKERS:
            raise RowDropError("roles_out_of_order", f"{where}: unknown role {str(role)[:40]!r}")
        call = next((name for name in _CALLS if message.get(name)), None)
        if call:
            raise RowDropError("not_only_text", f"{where}: {call}")
        speaker, said = _SPEAKERS[role.lower()], message[fields[1]]
        if speaker == "system" and not said:
            continue
        text = content_of(said, f"content of {where}")
        if speaker != "system" or text.strip():
            turns.append((speaker, text))
    return tuple(turns)


def content_of(value: object, where: str) -> str:
    """The text of a message or of a system column. Typed parts of text are joined as chat templates
    join them."""
    if not isinstance(value, list):
        return check_text(value, where)
    texts = []
    for part in value:
        if isinstance(part, str):
            texts.append(check_text(part, where))
            continue
        kind = (part.get("type") or "text") if isinstance(part, dict) else type(part).__name__
        text = next((part[k] for k in _PART_TEXTS if k in part), None) if kind == "text" else None
        if text is None:
            raise RowDropError("not_only_text", f"{where}: a part of type {str(kind)[:40]!r}")
        texts.append(check_text(text, where))
    return "".join(texts)


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
