"""More columns of published data sets, our own words in them: what is read, and what is refused."""

from typing import Any

import pytest

from rlhf_compare.data.config import TaskConfig
from rlhf_compare.data.formats import Example, LayoutError, parse_row, recognise
from rlhf_compare.data.reasons import RowDropError
from rlhf_compare.data.tasks import rank

Row = dict[str, Any]
Q, GOOD, BAD = "How tall is a tree?", "Ten metres or so.", "As tall as a fork."
ASKED = (("user", Q),)
PAIR = Example(ASKED, (GOOD, BAD), (1.0, 0.0))
SHOWN = Example(ASKED, (GOOD,), (1.0,))


def user(text: str) -> Row:
    return {"role": "user", "content": text}


def assistant(text: str) -> Row:
    return {"role": "assistant", "content": text}


ONE, OTHER = [user(Q), assistant(GOOD)], [user(Q), assistant(BAD)]


def parsed(row: Row, **fields: Any) -> Example:
    return parse_row(row, recognise([row], **fields), True)


@pytest.mark.parametrize(
    ("row", "example"),
    [
        # which model wrote a side is no side
        ({"prompt": Q, "chosen": ONE, "rejected": OTHER, "chosen_model": "a", "rejected_model": "b",
          "chosen_rating": 4.5, "rejected_rating": 2.0}, PAIR),
        ({"prompt": Q, "chosen": GOOD, "rejected": BAD, "rejected_model": "a b"}, PAIR),
        ({"prompt": Q, "chosen": ONE, "chosen-rating": 5.0, "chosen-model": "a", "rejected": OTHER,
          "rejected-rating": 2.5, "rejected-model": "b"}, PAIR),
        ({"prompt": Q, "chosen": ONE, "rejected": OTHER, "chosen_policy": "a",
          "candidate_policies": ["a", "b"]}, PAIR),
        # what a judge wrote is no response
        ({"input": Q, "chosen": GOOD, "rejected": BAD, "raw_labelling_response": "Rating: 8 7",
          "labelling_prompt": [user("Which of the two is it?")], "rationale": "It is right."},
         PAIR),
        ({"instruction": Q, "completions": [{"response": BAD, "overall_score": 4.0},
                                            {"response": GOOD, "overall_score": 8.5}],
          "correct_answers": ["None"], "incorrect_answers": ["None"]},
         Example(ASKED, (BAD, GOOD), (4.0, 8.5))),
        # other words for the sides
        ({"prompt": Q, "pos_resp": GOOD, "neg_resp": BAD, "pos_type": "x", "neg_type": "y"}, PAIR),
        ({"prompt": Q, "more_preferred": GOOD, "less_preferred": BAD}, PAIR),
        ({"prompt": Q, "most_preferred_response": GOOD, "least_preferred_response": BAD}, PAIR),
        # other words for the question
        ({"input_text": Q, "candidate_0": GOOD, "candidate_1": BAD, "choice": 0}, PAIR),
        ({"text_input": Q, "output": GOOD}, SHOWN),
        ({"context_messages": [user(Q)], "chosen": GOOD, "rejected": BAD}, PAIR),
        ({"context_messages": [user(Q)], "id": "x"}, Example(ASKED)),
        # a signed strength, the first rows of which are all of one sign
        ({"prompt": Q, "response_1": BAD, "response_2": GOOD, "preference_strength": 2},
         Example(ASKED, (BAD, GOOD), (0.0, 1.0))),
        # responses in columns that are named for their models
        ({"prompt": Q, "model_a": BAD, "model_b": GOOD, "winner": "model_b"},
         Example(ASKED, (BAD, GOOD), (0.0, 1.0))),
        # a list of records as Arrow keeps it: one record of lists
        ({"prompt": Q, "answers": {"a_id": ["x", "y"], "text": [BAD, GOOD], "score": [2, 9]}},
         Example(ASKED, (BAD, GOOD), (2.0, 9.0))),
        ({"prompt": Q, "answers": f'{{"text": ["{BAD}", "{GOOD}"], "score": [2, 9]}}'},
         Example(ASKED, (BAD, GOOD), (2.0, 9.0))),
        ({"context": [user(Q)], "completions": [{"rank": 0, "completion": [assistant(GOOD)]},
                                                {"rank": 1, "completion": [assistant(BAD)]}]},
         Example(ASKED, (GOOD, BAD), (0.0, -1.0))),
        # speakers and system turns as other services write them
        ({"messages": [{"role": "User", "content": Q}, {"role": "Chatbot", "content": GOOD}]},
         SHOWN),
        ({"system": [{"text": "Be brief."}],
          "messages": [{"role": "user", "content": [{"text": Q}]}, assistant(GOOD)]},
         Example((("system", "Be brief."), *ASKED), (GOOD,), (1.0,))),
        # transcripts whose turns stand on lines, not after blank lines
        ({"instruction": f"Human:{Q}\nAssistant:", "input": "", "output": GOOD}, SHOWN),
        ({"chosen": f"Human: {Q}\nAssistant: {GOOD}", "rejected": f"Human: {Q}\nAssistant: {BAD}"},
         PAIR),
    ],
)  # fmt: skip
def test_a_published_row(row: Row, example: Example) -> None:
    assert parsed(row) == example


@pytest.mark.parametrize(
    ("row", "message"),
    [
        # responses inside a record that is no list of texts
        ({"request": {"messages": [user(Q)]}, "response": {"choices": [{"message": ONE[1]}]}},
         "response looks like a response"),
        ({"prompt": Q, "responses": {"gpt": GOOD, "llama": BAD}}, "responses looks like a"),
        ({"question": Q, "context": "In a wood.", "answers": {"text": ["Ten"], "start": [3]}},
         "answers looks like a response"),
        ({"prompt": Q, "chosen": GOOD, "rejected": BAD.encode()}, "rejected looks like a response"),
        # the better text beside the one that is read
        ({"instruction": Q, "output": BAD, "corrected": GOOD}, "corrected looks like a response"),
        ({"prompt": Q, "response": BAD, "human_edited": GOOD}, "human_edited looks like a"),
        # a list of questions to one reader is no talk of two
        ({"question_id": 1, "turns": [Q, "And a bush?"]}, "turns holds lists of texts"),
        ({"prompt": Q, "model_a": GOOD, "model_b": BAD}, "no column says which is better"),
    ],
)  # fmt: skip
def test_a_response_is_never_left_unread(row: Row, message: str) -> None:
    with pytest.raises(LayoutError) as error:
        recognise([row])
    assert message in str(error.value) and "data." in str(error.value)


def test_rows_of_two_kinds_in_one_file() -> None:
    rows: list[Row] = [{"messages": ONE}, {"prompt": Q, "response": GOOD}] * 2
    layout = recognise(rows)
    assert [parse_row(row, layout, True) for row in rows] == [SHOWN] * 4
    marked = [f"\n\nHuman: {Q}\n\nAssistant: {text}" for text in (GOOD, BAD)]
    pairs: list[Row] = [
        {"prompt": Q, "chosen": GOOD, "rejected": BAD},
        {"chosen": marked[0], "rejected": marked[1]},
    ]
    layout = recognise([pairs[0], *pairs])
    assert [parse_row(row, layout, True) for row in pairs] == [PAIR] * 2


@pytest.mark.parametrize(
    ("rejected", "is_pair"),
    [
        (f"{GOOD} \n", False),
        (f"\n {GOOD}", False),
        (GOOD.replace(" ", "  "), False),
        (f"{GOOD}\r\n", False),
        (f"{GOOD}\n\nMore.", True),
        (GOOD.replace(" ", "\n  "), True),  # a line break and an indentation mean something
    ],
)
def test_sides_that_differ_in_blanks_alone_are_no_pair(rejected: str, is_pair: bool) -> None:
    example = parsed({"prompt": Q, "chosen": GOOD, "rejected": rejected})
    task = TaskConfig(name="preference")
    if is_pair:
        assert rank(example, task, Q).responses == (GOOD, rejected)
    else:
        with pytest.raises(RowDropError, match="equal_sides"):
            rank(example, task, Q)


def test_a_column_without_a_name_is_named() -> None:
    row = {"": "0", "prompt": Q, "chosen": GOOD, "rejected": BAD}
    assert str(recognise([row])).endswith("not read: ''")


# --- names given in the recipe


def test_a_column_inside_another_is_named_by_dots() -> None:
    row = {"info": {"post": Q, "site": "x"}, "sides": {"good": GOOD, "bad": BAD}}
    given = {"prompt": "info.post", "chosen": "sides.good", "rejected": "sides.bad"}
    assert parsed(row, given=given) == PAIR
    assert recognise([row], given=given).not_read == ("info.site",)
    assert parsed({**row, "info": f'{{"post": "{Q}"}}'}, given=given) == PAIR
    with pytest.raises(LayoutError, match=r"no column 'info.pots'.*did you mean info.post\?"):
        recognise([row], given={**given, "prompt": "info.pots"})


def test_half_of_a_pair_is_asked_for_the_other() -> None:
    row = {"frage": Q, "gut": GOOD, "schlecht": BAD}
    with pytest.raises(LayoutError, match=r"chosen alone.*rejected: NAME.*completion"):
        recognise([row], given={"prompt": "frage", "chosen": "gut"})
    with pytest.raises(LayoutError, match=r"needs responses and scores; say"):
        recognise([row], "ranked")
    with pytest.raises(LayoutError, match=r"needs prompt, or messages; say"):
        recognise([row], "prompts")
