"""Rows, however they are written, to conversations and responses."""

from typing import Any

import pytest

from rlhf_compare.data.conversation import parse_turns
from rlhf_compare.data.formats import Example, Layout, LayoutError, parse_row, recognise
from rlhf_compare.data.formats.layout import ROLES
from rlhf_compare.data.reasons import RowDropError

Row = dict[str, Any]


def transcript(*turns: str) -> str:
    roles = ("Human", "Assistant")
    return "".join(f"\n\n{roles[i % 2]}: {turn}" for i, turn in enumerate(turns))


def messages(*turns: str, system: str | None = None) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    head = [{"role": "system", "content": system}] if system else []
    return head + [{"role": roles[i % 2], "content": turn} for i, turn in enumerate(turns)]


def assistant(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def parsed(row: Row, keep_multi_turn: bool = False) -> Example:
    return parse_row(row, recognise([row]), keep_multi_turn)


def pair(chosen: str, rejected: str, keep_multi_turn: bool = False) -> Example:
    return parse_row({"chosen": chosen, "rejected": rejected}, Layout("hh"), keep_multi_turn)


def ranked(question: str, *responses: str) -> Example:
    return Example((("user", question),), responses, (1.0, 0.0)[: len(responses)])


# --- transcripts


def test_turns() -> None:
    text = transcript("Hi there", " Hello.\n\nTwo paragraphs. ", "", "Yes")
    assert parse_turns(text) == (
        ("user", "Hi there"),
        ("assistant", "Hello.\n\nTwo paragraphs."),
        ("user", ""),
        ("assistant", "Yes"),
    )


@pytest.mark.parametrize(
    "content",
    [
        "He said: Human: error, Assistant: no",
        "a list\nAssistant: not a turn, one line break alone",
        "Human rights: a short history",
        "Assistant : no",
    ],
)
def test_a_marker_inside_a_line_is_content(content: str) -> None:
    assert parse_turns(transcript("What?", content)) == (("user", "What?"), ("assistant", content))


def test_both_answers_starting_alike_leave_the_prompt_alone() -> None:
    """The longest common prefix of the two texts would move "I think that " into the prompt."""
    question = transcript("Is it so?")
    sides = [f"{question}\n\nAssistant: I think that it is{end}." for end in ("", " not")]
    assert pair(*sides) == ranked("Is it so?", "I think that it is.", "I think that it is not.")


def test_multi_turn_keeps_the_conversation_up_to_the_last_question() -> None:
    example = pair(transcript("a", "b", "c", "d"), transcript("a", "b", "c", "e"), True)
    assert example.turns == (("user", "a"), ("assistant", "b"), ("user", "c"))
    assert example.responses == ("d", "e")


def test_a_prompt_column_opens_both_transcripts() -> None:
    row = {"prompt": transcript("a") + "\n\nAssistant:", "chosen": " yes", "rejected": " no"}
    assert recognise([row]).format == "hh"
    assert parsed(row) == ranked("a", "yes", "no")


@pytest.mark.parametrize(
    ("chosen", "rejected", "reason"),
    [
        (transcript("a", "b", "c", "d"), transcript("a", "b"), "multi_turn"),
        (transcript("a", "b"), transcript("a", "b", "c", "d"), "multi_turn"),
        (transcript("a", "one Human: inside a line"), transcript("a", "b"), "multi_turn"),
        (transcript("a"), transcript("a", "b"), "no_assistant_turn"),
        ("no markers at all", transcript("a", "b"), "no_assistant_turn"),
        (transcript("a", ""), transcript("a", "b"), "empty_chosen"),
        (transcript("a", " \n "), transcript("a", "b"), "empty_chosen"),
        (transcript("", "b"), transcript("", "c"), "empty_prompt"),
        ("\n\nAssistant: b\n\nAssistant: a", transcript("a", "b"), "roles_out_of_order"),
        (transcript("a", "b") + "\n\nAssistant: c", transcript("a", "b"), "roles_out_of_order"),
        ("preface" + transcript("a", "b"), transcript("a", "b"), "roles_out_of_order"),
    ],
)
def test_a_transcript_that_cannot_be_used_says_why(chosen: str, rejected: str, reason: str) -> None:
    with pytest.raises(RowDropError) as drop:
        pair(chosen, rejected)
    assert drop.value.reason == reason


@pytest.mark.parametrize(
    ("rejected", "reason"),
    [
        (transcript("What is snow?", "Ice."), "prompts_differ"),
        (transcript("a", ""), "empty_rejected"),
    ],
)
def test_a_lone_answer_says_why_it_is_alone(rejected: str, reason: str) -> None:
    example = pair(transcript("a", "Water."), rejected)
    assert example.responses == ("Water.",)
    assert example.unpaired and example.unpaired.reason == reason


# --- every other format, each recognised from its columns


@pytest.mark.parametrize(
    ("row", "format_name", "example"),
    [
        (
            {"prompt": "The sky is", "chosen": " blue.", "rejected": " green."},
            "preference",
            ranked("The sky is", " blue.", " green."),
        ),
        (
            {"chosen": "The sky is blue, yes.", "rejected": "The sky is black, no."},
            "preference",
            ranked("The sky is", " blue, yes.", " black, no."),  # cut at a blank, not at "bl"
        ),
        (
            {"prompt": messages("a"), "chosen": assistant("b"), "rejected": assistant("c")},
            "preference",
            ranked("a", "b", "c"),
        ),
        (
            {"chosen": messages("a", "b"), "rejected": messages("a", "c")},
            "preference",
            ranked("a", "b", "c"),
        ),
        (
            {"prompt": "a", "responses": ["x", "", "y"], "scores": [1, 0.2, 0.5]},
            "ranked",
            Example((("user", "a"),), ("x", "y"), (1.0, 0.5)),
        ),
        ({"prompt": "a"}, "prompts", ranked("a")),
        ({"prompt": messages("a")}, "prompts", ranked("a")),
        ({"prompt": "a", "completion": "b"}, "demonstrations", ranked("a", "b")),
        (
            {"prompt": messages("a"), "completion": assistant("b")},
            "demonstrations",
            ranked("a", "b"),
        ),
        ({"messages": messages("a", "b")}, "demonstrations", ranked("a", "b")),
        (
            {"question": " Why? ", "answer": "Because.\n", "topic": "reasons"},
            "demonstrations",
            Example((("user", "Why?"),), ("Because.",), (1.0,), "reasons"),
        ),
    ],
)
def test_format(row: Row, format_name: str, example: Example) -> None:
    assert recognise([row]).format == format_name
    assert parsed(row) == example


def test_a_system_turn_and_earlier_turns_are_kept() -> None:
    system = messages("a", "b", "c", system="Be brief.")
    example = parsed({"prompt": system, "chosen": assistant("d"), "rejected": assistant("e")}, True)
    assert [role for role, _ in example.turns] == ["system", "user", "assistant", "user"]


def test_what_is_not_recognised() -> None:
    with pytest.raises(LayoutError, match="columns text: no known format; known are chosen"):
        recognise([{"text": "a"}])


@pytest.mark.parametrize(
    ("row", "format_name", "reason", "detail"),
    [
        ({"rejected": "b"}, "hh", "missing_field", "no field 'chosen'"),
        ({"chosen": None, "rejected": "b"}, "preference", "missing_field", "no field 'chosen'"),
        ({"chosen": "a"}, "hh", "missing_field", "no field 'rejected'"),
        ({"chosen": 5, "rejected": "b"}, "hh", "not_text", "field 'chosen' is int, expected text"),
        ({"question": "a", "answer": True}, "demonstrations", "not_text", "field 'answer' is bool"),
        ({"completion": "a"}, "demonstrations", "missing_field", "no field 'prompt'"),
        ({"prompt": [{"role": "user"}]}, "prompts", "missing_field", "message 1: needs role"),
        ({"prompt": "a\0b"}, "prompts", "nul_character", "field 'prompt', character 2"),
        ({"prompt": "a\ud800"}, "prompts", "invalid_utf8", "field 'prompt', character 2"),
        ({"prompt": "a", "responses": ["b"]}, "ranked", "missing_field", "no field 'scores'"),
    ],
)
def test_a_wrong_field_is_named(row: Row, format_name: str, reason: str, detail: str) -> None:
    roles = {name: (name,) for name in ROLES}
    if "question" in row:
        roles |= {"prompt": ("question",), "completion": ("answer",)}
    with pytest.raises(RowDropError) as drop:
        parse_row(row, Layout(format_name, roles), False)
    assert drop.value.reason == reason and detail in drop.value.detail


@pytest.mark.parametrize(
    ("responses", "scores", "reason"),
    [
        (["x", "y"], [1.0], "bad_scores"),
        (["x", "y"], [1.0, float("nan")], "bad_scores"),
        (["x", "y"], [1.0, 10**400], "bad_scores"),
        (["x", "y"], [True, False], "bad_scores"),
        (["x", "y"], "10", "bad_scores"),
        (["x"], [1.0], "too_few_responses"),
        (["x", " "], [1.0, 0.0], "empty_rejected"),
        (["", "y"], [1.0, 0.0], "empty_chosen"),
        (["x", True], [1.0, 0.0], "not_text"),
        ("xy", [1.0, 0.0], "not_text"),
    ],
)
def test_wrong_ranks(responses: object, scores: object, reason: str) -> None:
    with pytest.raises(RowDropError) as drop:
        parse_row(
            {"prompt": "a", "responses": responses, "scores": scores}, Layout("ranked"), False
        )
    assert drop.value.reason == reason
