"""Texts in odd places: questions under names of other things, answers that are letters, fields of
messages, empty system turns. Read, named as not read, or refused."""

from typing import Any

import pytest

from rlhf_compare.data.formats import Example, LayoutError, parse_row, recognise

Row = dict[str, Any]
Q, GOOD, BAD = "How tall is a tree?", "Ten metres or so.", "As tall as a fork."
ALIKE = {"chosen": f"Well, {GOOD}", "rejected": f"Well, {BAD}"}
ASKED = (("user", Q),)
PAIR = Example(ASKED, (GOOD, BAD), (1.0, 0.0))


def user(text: str) -> Row:
    return {"role": "user", "content": text}


def assistant(text: str, **more: object) -> Row:
    return {"role": "assistant", "content": text, **more}


def refused(row: Row, **fields: Any) -> str:
    with pytest.raises(LayoutError) as error:
        recognise([row], **fields)
    return str(error.value)


@pytest.mark.parametrize(
    "column", [{"title": Q}, {"topic": Q}, {"source": Q}, {"info": {"post": Q}}]
)
def test_a_question_under_another_name_is_not_lost(column: Row) -> None:
    name = next(iter(column))
    message = refused({**column, **ALIKE})
    assert f"{name} may hold the prompt of chosen" in message
    assert "data.format=preference" in message
    assert recognise([{**column, **ALIKE}], "preference").format == "preference"


def test_what_is_no_question_is_left() -> None:
    row = {"source": "a book", "title": "Trees", "id": "x", "chosen": f"{Q} A.", "rejected": Q}
    assert recognise([row]).not_read == ("source", "title", "id")


def test_a_pair_inside_a_record_is_not_lost() -> None:
    row = {"prompt": Q, "pair": {"chosen": GOOD, "rejected": BAD}}
    assert "pair holds chosen, rejected; name" in refused(row)
    given = {"chosen": "pair.chosen", "rejected": "pair.rejected"}
    assert parse_row(row, recognise([row], given=given), True) == PAIR
    # what a checker needs is no response
    asked = {"prompt": Q, "extra_info": {"answer": "Ten.", "split": "train"}}
    assert recognise([asked]).format == "prompts"


@pytest.mark.parametrize(
    "row",
    [
        {"question": Q, "A": "One tree", "B": "Two trees", "answer": "A"},
        {"question": Q, "option_a": GOOD, "option_b": BAD, "answer": "(b)"},
        {"prompt": Q, "A": GOOD, "B": BAD, "chosen": "A"},
    ],
)
def test_a_letter_is_no_answer_where_the_choices_are_not_read(row: Row) -> None:
    assert "names a choice" in refused(row)


@pytest.mark.parametrize("name", ["previous_turns", "chat_history", "history", "prior_messages"])
def test_earlier_turns_come_before_the_question(name: str) -> None:
    earlier = (("user", "Hi."), ("assistant", "Hello."))
    for value in ([user("Hi."), assistant("Hello.")], [["Hi.", "Hello."]]):
        row = {name: value, "prompt": Q, "chosen": GOOD, "rejected": BAD}
        assert parse_row(row, recognise([row]), True).turns == earlier + ASKED
    told = {name: "User: Hi.\nBot: Hello.", "prompt": Q, "chosen": GOOD, "rejected": BAD}
    assert f"{name} may hold earlier turns" in refused(told)
    assert recognise([told], "preference").not_read == (name,)


def test_lists_of_one_text_are_that_text() -> None:
    row = {"prompt": Q, "chosen": [GOOD], "rejected": [BAD]}
    assert parse_row(row, recognise([row]), True) == PAIR
    assert "rejected looks like a response" in refused({**row, "rejected": [BAD, "No."]})


def test_an_empty_system_turn_is_none() -> None:
    for text in ("", " ", None):
        row = {"messages": [{"role": "system", "content": text}, user(Q), assistant(GOOD)]}
        assert parse_row(row, recognise([row]), True).turns == ASKED


def test_a_response_may_be_a_conversation_in_a_record() -> None:
    answers = [{"messages": [assistant(text)], "score": i} for i, text in enumerate((BAD, GOOD))]
    row = {"prompt": Q, "completions": answers}
    example = parse_row(row, recognise([row]), True)
    assert (example.responses, example.scores) == ((BAD, GOOD), (0.0, 1.0))


def test_fields_of_messages_that_are_not_read_are_named() -> None:
    row = {"messages": [user(Q), assistant(GOOD, reasoning_content="It must be so.", name="x")]}
    assert recognise([row]).not_read == ("messages.reasoning_content",)
    ranked = [{"response": GOOD, "overall_score": 2, "critique": "It is right."}, {"response": BAD}]
    row = {"instruction": Q, "completions": ranked}
    assert recognise([row]).not_read == ("completions.critique",)


def test_prompts_alone_are_not_read_from_marks() -> None:
    layout = recognise([{"prompt": Q, "chosen": True, "rejected": False}])
    assert layout.read == ("prompt",) and layout.not_read == ("chosen", "rejected")
