"""Rows, however they are written, to questions and answers."""

import pytest

from rlhf_compare.data.formats import Exchange, parse_row, parse_turns
from rlhf_compare.errors import DataError


def transcript(*turns: str) -> str:
    roles = ("Human", "Assistant")
    return "".join(f"\n\n{roles[i % 2]}: {turn}" for i, turn in enumerate(turns))


def pair(chosen: str, rejected: str) -> Exchange:
    return parse_row({"chosen": chosen, "rejected": rejected}, "file, line 1")


def test_turns() -> None:
    text = transcript("Hi there", " Hello.\n\nTwo paragraphs. ", "", "Yes")
    assert parse_turns(text) == [
        ("Human", "Hi there"),
        ("Assistant", "Hello.\n\nTwo paragraphs."),
        ("Human", ""),
        ("Assistant", "Yes"),
    ]


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
    turns = parse_turns(transcript("What?", content))
    assert turns == [("Human", "What?"), ("Assistant", content)]


def test_both_answers_starting_alike_leave_the_prompt_alone() -> None:
    """The longest common prefix of the two texts would move "I think that " into the prompt."""
    question = transcript("Is it so?")
    exchange = pair(
        question + "\n\nAssistant: I think that it is.",
        question + "\n\nAssistant: I think that it is not.",
    )
    assert exchange == Exchange(
        "Is it so?", ("I think that it is.", "I think that it is not."), (1.0, 0.0)
    )


@pytest.mark.parametrize(
    ("chosen", "rejected", "reason"),
    [
        (transcript("a", "b", "c", "d"), transcript("a", "b"), "multi_turn"),
        (transcript("a", "b"), transcript("a", "b", "c", "d"), "multi_turn"),
        (transcript("a", "one Human: inside a line"), transcript("a", "b"), "multi_turn"),
        (transcript("a"), transcript("a", "b"), "no_answer"),
        (transcript("a", ""), transcript("a", "b"), "no_answer"),
        (transcript("a", " \n "), transcript("a", "b"), "no_answer"),
        ("no markers at all", transcript("a", "b"), "no_answer"),
        (transcript("", "b"), transcript("", "c"), "no_question"),
        ("\n\nAssistant: b\n\nHuman: a", transcript("a", "b"), "roles_out_of_order"),
        (transcript("a", "b") + "\n\nAssistant: c", transcript("a", "b"), "roles_out_of_order"),
    ],
)
def test_a_row_that_cannot_be_used_says_why(chosen: str, rejected: str, reason: str) -> None:
    assert pair(chosen, rejected).drop == reason


def test_an_answer_to_another_question_is_no_rejected_answer() -> None:
    exchange = pair(transcript("What is rain?", "Water."), transcript("What is snow?", "Ice."))
    assert exchange == Exchange("What is rain?", ("Water.",), (1.0,))


def test_question_rows() -> None:
    row = {"question": " Why? ", "answer": "Because.\n", "topic": "reasons"}
    assert parse_row(row, "x") == Exchange("Why?", ("Because.",), (1.0,), "reasons")
    assert parse_row({**row, "topic": None}, "x").group is None
    assert parse_row({**row, "question": " "}, "x").drop == "no_question"
    assert parse_row({**row, "answer": ""}, "x").drop == "no_answer"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"rejected": "b"}, "pairs.jsonl, line 7: no field 'chosen'"),
        ({"chosen": "a"}, "pairs.jsonl, line 7: no field 'rejected'"),
        ({"chosen": None, "rejected": "b"}, "pairs.jsonl, line 7: no field 'chosen'"),
        ({"chosen": 5, "rejected": "b"}, "line 7: field 'chosen' is int, expected text"),
        ({"chosen": "a", "rejected": ["b"]}, "line 7: field 'rejected' is list, expected text"),
        ({"question": "a", "answer": 1.5}, "line 7: field 'answer' is float, expected text"),
        ({"text": "a"}, "or 'question' and 'answer'"),
    ],
)
def test_a_wrong_row_is_named(row: dict[str, object], message: str) -> None:
    with pytest.raises(DataError) as error:
        parse_row(row, "pairs.jsonl, line 7")
    assert message in str(error.value)
