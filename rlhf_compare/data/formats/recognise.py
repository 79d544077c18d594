"""From the columns of a source's first rows to the layout by which all its rows are read.

Every column is used, or named as not read; one that looks like a response is used or refused.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from rlhf_compare.data.formats.checks import (
    check_context_is_there,
    check_nothing_is_lost,
    prompt_is_repeated,
    questions_are_transcripts,
    sides_are_transcripts,
)
from rlhf_compare.data.formats.columns import columns_of
from rlhf_compare.data.formats.completions import find_completion, find_label
from rlhf_compare.data.formats.draft import ANSWER_ROLES, Draft, LayoutError
from rlhf_compare.data.formats.example import Row
from rlhf_compare.data.formats.layout import Layout
from rlhf_compare.data.formats.nested import unread_fields
from rlhf_compare.data.formats.questions import (
    ends_with_answer,
    find_conversation,
    find_question,
)
from rlhf_compare.data.formats.responses import (
    find_sides,
    rank_columns,
    rank_list,
)

_KNOWN = (
    "chosen + rejected (hh transcripts, texts or messages, with or without prompt), prompt + "
    "responses + scores, prompt + response_0 + response_1 + better_response_id, prompt + "
    "completion, question + answer, instruction + input + output, messages, conversations, prompt"
)


def recognise(
    rows: Iterable[Row],
    format_name: str = "auto",
    given: Mapping[str, str | Sequence[str]] | None = None,
) -> Layout:
    """The layout of a source by the columns of its first rows.

    Args:
        format_name: a format, or ``auto``.
        given: role -> the columns that a recipe names for it.

    Raises:
        LayoutError: the columns fit no format, or one that looks like a response is left.
    """
    draft = Draft(columns_of(rows), format_name, given or {})
    meant = set(given or {}) & set(ANSWER_ROLES)
    for shape in _SHAPES:
        wanted = format_name in ("auto", *shape.formats) and meant <= set(shape.roles)
        if wanted and shape.fits(draft):
            find_question(draft)
            return _layout(draft, shape.formats[0])
    if not draft.columns:
        raise LayoutError("its rows have no fields; write an object with a name for each text")
    columns = ", ".join(sorted(draft.columns)[:20])
    alone = meant & {"chosen", "rejected"}
    if len(alone) == 1:
        side, other = sorted({"chosen", "rejected"}, key=lambda name: name not in alone)
        raise LayoutError(
            f"data.columns names {side} alone; name the other response too ({other}: NAME), or "
            "call a response that is compared with none completion"
        )
    if format_name == "auto":
        raise LayoutError(
            f"columns {columns}: no known format; known are {_KNOWN}; say what the columns are, "
            "for instance data.columns={prompt: NAME, chosen: NAME, rejected: NAME}"
        )
    needs = ", or ".join(dict.fromkeys(s.needs for s in _SHAPES if format_name in s.formats))
    raise LayoutError(
        f"columns {columns}: data.format is {format_name}, which needs {needs}; say which columns "
        f"are meant in data.columns, or leave data.format=auto"
    )


@dataclass(frozen=True)
class _Shape:
    """One way to write responses: what it is read as, the roles it needs, whether it is there."""

    formats: tuple[str, ...]
    roles: tuple[str, ...]
    fits: Callable[[Draft], bool]  # gives the roles of the responses
    joined: str = " and "  # between the roles that it needs, in words

    @property
    def needs(self) -> str:
        return self.joined.join(self.roles[:2])


def _has_pair(draft: Draft) -> bool:
    find_sides(draft)
    if not {"chosen", "rejected"} <= set(draft.roles):
        return False
    find_conversation(draft)
    return True


def _has_rejected_beside_an_answer(draft: Draft) -> bool:
    if "rejected" not in draft.roles:
        return False
    find_conversation(draft)
    if draft.of("messages") and ends_with_answer(draft.of("messages")[0]):
        return True
    find_completion(draft)
    if "completion" in draft.roles:
        draft.roles["chosen"] = draft.roles.pop("completion")
    return "chosen" in draft.roles


def _has_ranked_columns(draft: Draft) -> bool:
    return _ranked(draft, rank_columns(draft))


def _has_ranked_list(draft: Draft) -> bool:
    return _ranked(draft, rank_list(draft))


def _ranked(draft: Draft, ranking: Mapping[str, object] | None) -> bool:
    if ranking is None:
        return False
    draft.ranking = ranking
    find_conversation(draft)
    return True


def _is_conversation(draft: Draft) -> bool:
    find_conversation(draft)
    if not draft.of("messages") or not ends_with_answer(draft.of("messages")[0]):
        return False
    find_completion(draft, apart_from=draft.of("messages")[0])
    find_label(draft)
    return True


def _has_completion(draft: Draft) -> bool:
    find_completion(draft)
    if "completion" not in draft.roles and "chosen" in draft.roles:
        draft.roles["completion"] = draft.roles.pop("chosen")
        draft.roles.pop("score_chosen", None)
    find_label(draft)
    return "completion" in draft.roles


def _has_prompt(draft: Draft) -> bool:
    find_conversation(draft)
    find_question(draft)
    draft.roles.pop("label", None)  # nothing is learned that it could mark
    return bool({"prompt", "messages"} & set(draft.roles))


# The first that fits is taken. A recipe that names a format leaves the others out.
_SHAPES = (
    _Shape(("preference", "hh"), ("chosen", "rejected", "messages"), _has_pair),
    _Shape(("preference",), ("completion", "rejected", "messages"), _has_rejected_beside_an_answer),
    _Shape(("ranked",), ("responses", "scores", "messages"), _has_ranked_columns),
    _Shape(("ranked",), ("responses", "scores", "messages"), _has_ranked_list),
    _Shape(("demonstrations",), ("messages",), _is_conversation),
    _Shape(("demonstrations",), ("prompt", "completion", "messages"), _has_completion),
    _Shape(("prompts",), ("prompt", "messages"), _has_prompt, ", or "),
)


def _layout(draft: Draft, format_name: str) -> Layout:
    transcripts = draft.format == "hh" or (draft.format == "auto" and sides_are_transcripts(draft))
    if format_name == "preference" and transcripts:
        format_name = "hh"
    transcripts = format_name == "hh" or questions_are_transcripts(draft)
    check_context_is_there(draft, format_name, transcripts)
    check_nothing_is_lost(draft, format_name)
    left = {column.name for column in draft.free} | draft.repeats
    read = {name for names in draft.roles.values() for name in names}
    fields = [field for name in sorted(read) for field in unread_fields(draft.columns[name])]
    return Layout(
        format=format_name,
        roles=dict(draft.roles),
        ranking=str(draft.ranking.get("ranking", "scores")),
        marks=tuple(draft.ranking.get("marks", ())),  # type: ignore[arg-type]
        encoded=_encoded(draft),
        transcripts=transcripts,
        repeated=format_name == "preference" and prompt_is_repeated(draft),
        known=frozenset(n for n, c in draft.columns.items() if c.kind != "none" or n in read)
        | (draft.heads - set(draft.columns)),
        not_read=(*(name for name in draft.columns if name in left), *fields),
        repeats=tuple(sorted(draft.repeats)),
    )


def _encoded(draft: Draft) -> frozenset[str]:
    """The columns of texts that are to be read as the lists they hold."""
    asked = draft.of("prompt")
    arena = bool(asked) and "texts" in (asked[0].kind, asked[0].inner)
    plain = {"responses", "scores", "history", "messages", "prompt"}
    encoded = set()
    for role, names in draft.roles.items():
        lists = role in plain - {"responses"} or (role == "responses" and len(names) == 1) or arena
        for column in (draft.columns[name] for name in names):
            kinds = {"message", "messages", "pairs", "records"}
            if column.inner in kinds | ({"texts", "numbers"} if lists else set()):
                encoded.add(column.name)
    return frozenset(encoded)
