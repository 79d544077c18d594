"""What a layout must not do: lose a question, or leave a response unread without a word."""

from collections.abc import Sequence

from rlhf_compare.data.conversation import is_transcript
from rlhf_compare.data.formats.columns import Column, says_the_same, share
from rlhf_compare.data.formats.completions import check_grades
from rlhf_compare.data.formats.draft import Draft, LayoutError
from rlhf_compare.data.formats.marks import are_flags, label_sense, said_of
from rlhf_compare.data.formats.names import (
    META,
    is_completion,
    is_meta,
    is_response_list,
    is_verdict,
    sounds_like_prompt,
    sounds_like_response,
    speaks_of_responses,
    words,
)
from rlhf_compare.data.formats.nested import sides_inside
from rlhf_compare.data.formats.questions import opens_with_question
from rlhf_compare.data.formats.rankings import number
from rlhf_compare.data.formats.responses import is_numeric
from rlhf_compare.data.formats.values import decode, number_as_text

_MOST = 0.9


def sides_are_transcripts(draft: Draft) -> bool:
    """Whether most of the rows that can decide are hh transcripts: one prompt that quotes a
    transcript does not decide for the others."""
    sides = draft.of("chosen")
    if not sides or "rejected" not in draft.roles or "messages" in draft.roles:
        return False
    return _are_transcripts(draft.of("prompt") or sides)


def questions_are_transcripts(draft: Draft) -> bool:
    """The same for prompts, or for demonstrations that are whole transcripts."""
    if "messages" in draft.roles:
        return False
    return _are_transcripts(draft.of("prompt") or draft.of("completion"))


def _are_transcripts(columns: list[Column]) -> bool:
    texts = [value for value in columns[0].values if isinstance(value, str)] if columns else []
    return share([is_transcript(text) for text in texts if text.strip()]) >= 0.5


def prompt_is_repeated(draft: Draft) -> bool:
    """Whether both sides, texts, begin with the prompt in nearly all rows."""
    columns = [*draft.of("prompt"), *draft.of("chosen"), *draft.of("rejected")]
    if len(columns) != 3 or {"input", "history", "messages"} & set(draft.roles):
        return False
    rows = zip(*(column.values for column in columns), strict=True)
    texts = [row for row in rows if all(isinstance(value, str) and value for value in row)]
    return share([all(str(s).startswith(str(p)) for s in sides) for p, *sides in texts]) >= _MOST


def check_context_is_there(draft: Draft, format_name: str, transcripts: bool) -> None:
    """Raises LayoutError where no column holds what the responses answer."""
    if {"prompt", "messages"} & set(draft.roles) or format_name == "hh":
        return
    response = next(
        draft.of(role)[0] for role in ("chosen", "completion", "responses") if draft.of(role)
    )
    if opens_with_question(response) or (transcripts and format_name == "demonstrations"):
        return
    if format_name != "preference" or response.content != "text":
        raise LayoutError(
            f"columns {', '.join(sorted(draft.columns)[:20])}: no column holds the prompt that "
            f"{response.name} answers; say which does: data.columns={{prompt: NAME}}"
        )
    other = [*draft.of("system"), *draft.of("history"), *draft.of("input"), *draft.free]
    asked = [c for c in other if c.has_text and not is_meta(c.name)]
    asked = [c for c in asked if c.is_prose or sounds_like_prompt(c.name)]
    way_out = ""
    if not asked and draft.format == "auto":  # a title, a topic, a note
        asked = [c for c in [*other, *draft.of("topic")] if c.is_sentences]
        way_out = ", or, if none does, data.format=preference"
    if asked:
        raise LayoutError(
            f"{asked[0].name} may hold the prompt of {response.name}; say which column does: "
            f"data.columns={{prompt: {asked[0].name}}}{way_out}"
        )


def check_nothing_is_lost(draft: Draft, format_name: str) -> None:
    """Raises LayoutError where a column of responses would be left unread."""
    if format_name not in ("preference", "hh") and "rejected" in draft.roles:
        raise LayoutError(
            f"{draft.roles['rejected'][0]} stands without the response that it was compared with; "
            "say which column holds it: data.columns={chosen: NAME}"
        )
    if draft.told:
        return
    read = [column for role in draft.roles for column in draft.of(role)]
    for column in draft.free:
        names = ", ".join(map(str, sides_inside(column)))
        if names:
            raise LayoutError(
                f"{column.name} holds {names}; name them by dots, for instance data.columns="
                f"{{rejected: {column.name}.NAME}}, or leave them unread with "
                f"data.format={format_name}"
            )
        if not _may_be_lost(column, format_name, read):
            continue
        if says_the_same(column, read):
            draft.repeats.add(column.name)
            continue
        raise LayoutError(
            f"{column.name} looks like a response, and {format_name} read from "
            f"{', '.join(c.name for c in read)} would leave it unread; name the "
            "columns that are meant in data.columns (completion, or chosen and rejected, or "
            f"responses), or leave it unread with data.format={format_name}"
        )
    if format_name == "demonstrations":
        _refuse_letters(draft)
    if format_name == "demonstrations" and "label" not in draft.roles:
        _refuse_scored_one_by_one(draft)
        check_grades(draft)


def _may_be_lost(column: Column, format_name: str, read: list[Column]) -> bool:
    if column.kind == "nested":
        return sounds_like_response(column.name) and not speaks_of_responses(column.name)
    if format_name == "prompts" and column.kind in ("bool", "number", "numbers"):
        return is_completion(column.name) or is_response_list(column.name)
    if _marks_what_is_read(column, read):
        return False
    if not column.has_text or (column.kind == "text" and is_numeric(column)):
        return False
    if format_name in ("preference", "hh", "ranked") and speaks_of_responses(column.name):
        return False
    if is_verdict(column.name) and not column.is_prose:  # says which is better, in a word
        return False
    if sounds_like_response(column.name):
        return True
    # where no response was found, any other column of prose may be one
    prose = column.is_prose and column.kind != "record" and not is_meta(column.name)
    return format_name == "prompts" and prose


def _marks_what_is_read(column: Column, read: list[Column]) -> bool:
    """Whether a column says yes or no of a response that is read: ``chosen_spam``."""
    told = (label_sense(said_of(column.name, other.name)) for other in read)
    return any(sense is not None for sense in told) and are_flags(column.values)


def _refuse_letters(draft: Draft) -> None:
    """An answer that is a letter or the number of a choice; nobody learns from it without the
    choices."""
    texts = [c for c in draft.free if c.has_text and not is_meta(c.name)]
    values = [value for column in draft.of("completion") for value in column.values]
    there = [number_as_text(value) for value in values if value is not None and value != ""]
    answers = [str(value).strip(" ().:") for value in there]
    letters = all(len(a) == 1 and a.upper() in "ABCDEFGH" for a in answers)
    numbers = all(len(a) == 1 and a.isdigit() for a in answers)
    listed = [c for c in draft.free if c.content in ("texts", "nested") and _counts(values, c)]
    listed += [c for c in texts if set(words(c.name)) & {"choice", "choices", "options", "option"}]
    lettered = [c for c in texts if len(c.name) == 1]
    choices = [c.name for c in (texts if letters else [*listed, *lettered])]
    if choices and answers and (letters or numbers):
        name = draft.roles["completion"][0]
        raise LayoutError(
            f"{name} names a choice ({answers[0]}), and {', '.join(choices[:4])} would be left "
            "unread; write the choices into the prompt and the text of the answer into "
            f"{name}, or leave them unread with data.format=demonstrations"
        )


def _counts(values: Sequence[object], column: Column) -> bool:
    """Whether every number may be that of an element of the list beside it, from 0 or from 1."""
    lists = [decode(v) if isinstance(v, str) else v for v in column.values]
    return all(
        value is None or not isinstance(one, list) or 0 <= value <= len(one)
        for value, one in zip(map(number, values), lists, strict=False)
    )


def _refuse_scored_one_by_one(draft: Draft) -> None:
    """Rows of one response and its scores, several rows to a prompt: some of them are bad."""
    asked = draft.of("prompt")
    scores = [
        c.name
        for c in draft.free
        if is_numeric(c) and not set(words(c.name)) & (META - {"score", "rating", "reward"})
    ]
    if not asked or not scores or asked[0].kind != "text":
        return
    answered = draft.of("completion")[0].values
    rows = {(str(p), str(a)) for p, a in zip(asked[0].values, answered, strict=True) if p}
    if len({prompt for prompt, _ in rows}) < _MOST * len(rows):
        raise LayoutError(
            f"several rows answer one prompt and {scores[0]} says how well; write the responses of "
            "a prompt into one row (responses, scores), or learn all of them alike with "
            "data.format=demonstrations"
        )
