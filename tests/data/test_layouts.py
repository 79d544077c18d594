"""Rows in the columns of published data sets, our own words in them: each text in its place."""

from typing import Any

import pytest

from rlhf_compare.data.formats import Example, LayoutError, parse_row, recognise
from rlhf_compare.data.reasons import RowDropError

Row = dict[str, Any]
Q, GOOD, BAD = "How tall is a tree?", "Ten metres or so.", "As tall as a fork."
ASKED = (("user", Q),)
PAIR = Example(ASKED, (GOOD, BAD), (1.0, 0.0))
SECOND = Example(ASKED, (BAD, GOOD), (0.0, 1.0))
SHOWN = Example(ASKED, (GOOD,), (1.0,))


def user(text: str) -> Row:
    return {"role": "user", "content": text}


def assistant(text: str) -> Row:
    return {"role": "assistant", "content": text}


def said(speaker: str, text: str) -> Row:
    return {"from": speaker, "value": text}


ONE = [user(Q), assistant(GOOD)]
OTHER = [user(Q), assistant(BAD)]
MARKED = f"\n\nHuman: {Q}\n\nAssistant:"


def parsed(row: Row, keep: bool = True, **fields: Any) -> Example:
    return parse_row(row, recognise([row], **fields), keep)


def refused(*rows: Row, **fields: Any) -> str:
    with pytest.raises(LayoutError) as error:
        recognise(rows, **fields)
    message = str(error.value)
    assert "\n" not in message and "data." in message  # the way out is a field
    return message


def dropped(row: Row, *others: Row, **fields: Any) -> str:
    with pytest.raises(RowDropError) as drop:
        parse_row(row, recognise([row, *others], **fields), True)
    return str(drop.value.reason)


@pytest.mark.parametrize(
    ("row", "example"),
    [
        # a question under any usual name; answers that begin alike leave it alone
        ({"question": Q, "chosen": f"Well, {GOOD}", "rejected": f"Well, {BAD}"},
         Example(ASKED, (f"Well, {GOOD}", f"Well, {BAD}"), (1.0, 0.0))),
        ({"instruction": Q, "input": "", "chosen": GOOD, "rejected": BAD}, PAIR),
        ({"query": Q, "winner": GOOD, "loser": BAD}, PAIR),
        ({"Prompt": Q, "Chosen": GOOD, "Rejected": BAD}, PAIR),
        ({"prompt": Q, "y_w": GOOD, "y_l": BAD}, PAIR),
        ({"input": Q, "preferred": GOOD, "dispreferred": BAD}, PAIR),
        ({"user_prompt": Q, "betterResponse": GOOD, "worseResponse": BAD}, PAIR),
        ({"problem": Q, "pos": GOOD, "neg": BAD}, PAIR),
        # the prompt repeated in the sides
        ({"prompt": Q, "chosen": ONE, "rejected": OTHER, "messages": ONE}, PAIR),
        ({"prompt": Q, "question": Q, "chosen": ONE, "rejected": OTHER}, PAIR),
        ({"prompt": [user(Q)], "chosen": ONE, "rejected": OTHER}, PAIR),
        ({"prompt": Q, "chosen": Q + GOOD, "rejected": Q + BAD}, PAIR),
        ({"prompt": MARKED, "chosen": f"{MARKED} {GOOD}", "rejected": f"{MARKED} {BAD}"}, PAIR),
        ({"prompt": MARKED, "chosen": f" {GOOD}", "rejected": f" {BAD}"}, PAIR),
        # conversations beside sides
        ({"conversations": [said("human", Q)], "chosen": said("gpt", GOOD),
          "rejected": said("gpt", BAD)}, PAIR),
        ({"messages": ONE, "rejected_response": BAD}, PAIR),
        ({"messages": ONE, "rejected_messages": OTHER}, PAIR),
        ({"messages": ONE, "chosen": GOOD, "rejected": BAD}, PAIR),
        ({"query": Q, "response": GOOD, "rejected_response": BAD}, PAIR),
        ({"input": {"messages": [user(Q)]}, "preferred_output": [assistant(GOOD)],
          "non_preferred_output": [assistant(BAD)]}, PAIR),
        ({"chosen_messages": [user(Q), assistant(GOOD)], "rejected_messages": OTHER}, PAIR),
        # scores that tie make no pair
        ({"chosen": ONE, "rejected": OTHER, "score_chosen": 7.0, "score_rejected": 7.0},
         Example(ASKED, (GOOD, BAD), (1.0, 1.0))),
        ({"prompt": Q, "chosen": GOOD, "rejected": BAD, "chosen-rating": 4, "rejected-rating": 4},
         Example(ASKED, (GOOD, BAD), (1.0, 1.0))),
        # a column for each response
        ({"prompt": Q, "response_0": BAD, "response_1": GOOD, "better_response_id": 1,
          "safer_response_id": 0}, SECOND),
        ({"instruction": Q, "input": "", "output_1": BAD, "output_2": GOOD, "preference": 2},
         SECOND),
        ({"question": Q, "response_j": GOOD, "response_k": BAD}, PAIR),
        ({"prompt": Q, "response_a": BAD, "response_b": GOOD, "winner": "model_b"}, SECOND),
        ({"prompt": Q, "answerA": BAD, "answerB": GOOD, "preferred": "B"}, SECOND),
        ({"prompt": [Q], "response_a": [GOOD], "response_b": [BAD], "winner": "a"}, PAIR),
        ({"prompt": f'["{Q}"]', "response_a": f'["{GOOD}"]', "response_b": f'["{BAD}"]',
          "winner_model_a": "1", "winner_model_b": "0", "winner_tie": "0"}, PAIR),
        ({"conversation_a": OTHER, "conversation_b": ONE, "winner": "tie"},
         Example(ASKED, (BAD, GOOD), (1.0, 1.0))),
        ({"prompt": Q, "response_1": BAD, "response_2": GOOD, "preference_strength": -2},
         Example(ASKED, (BAD, GOOD), (1.0, 0.0))),
        ({"history": Q, "human_ref_A": BAD, "human_ref_B": GOOD, "score_A": 2, "score_B": 9,
          "labels": 0}, Example(ASKED, (BAD, GOOD), (2.0, 9.0))),
        ({"question": {"full_text": Q}, "answer_0": BAD, "answer_1": GOOD, "score_0": -1.0,
          "score_1": 1.0}, Example(ASKED, (BAD, GOOD), (-1.0, 1.0))),
        # lists of responses
        ({"prompt": MARKED, "answers": [{"answer": BAD, "rank": 2}, {"answer": GOOD, "rank": 1}]},
         Example(ASKED, (BAD, GOOD), (-2.0, -1.0))),
        ({"instruction": Q, "completions": [{"response": GOOD, "overall_score": 8.5},
                                            {"response": BAD, "overall_score": 3.0}]},
         Example(ASKED, (GOOD, BAD), (8.5, 3.0))),
        ({"question": Q, "answers": [GOOD, BAD], "ranks": [1, 2]},
         Example(ASKED, (GOOD, BAD), (-1.0, -2.0))),
        ({"prompt": Q, "responses": str([GOOD, BAD]), "scores": "[1.0, 0.5]"},
         Example(ASKED, (GOOD, BAD), (1.0, 0.5))),
        # demonstrations
        ({"prompt": Q, "response": GOOD}, SHOWN),
        ({"instruction": Q, "input": "", "output": GOOD}, SHOWN),
        ({"instruction": "Shorten.", "input": Q, "output": GOOD},
         Example((("user", f"Shorten.\n{Q}"),), (GOOD,), (1.0,))),
        ({"instruction": Q, "context": "In a wood.", "response": GOOD, "category": "x"},
         Example((("user", f"{Q}\nIn a wood."),), (GOOD,), (1.0,))),
        ({"prompt": Q, "prompt_id": "1", "messages": ONE}, SHOWN),
        ({"conversations": [said("human", Q), said("gpt", GOOD)], "system": ""}, SHOWN),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "How tall "},
                                                    {"type": "text", "text": "is a tree?"}]},
                       assistant(GOOD)]}, SHOWN),
        ({"prompt": MARKED, "completion": f" {GOOD}"}, SHOWN),
        ({"messages": ONE, "label": True}, SHOWN),
        ({"prompt": Q, "response": GOOD, "is_safe": True}, SHOWN),
        ({"prompt": Q, "messages": str(ONE)}, SHOWN),  # as pandas writes it into a CSV cell
        ({"messages": f"[{user(Q)}\n {assistant(GOOD)}]"}, SHOWN),  # and numpy
        # prompts alone
        ({"prompt": MARKED}, Example(ASKED)),
        ({"data_source": "a/b", "prompt": [user(Q)], "reward_model": {"ground_truth": "4"}},
         Example(ASKED)),
        ({"messages": [user(Q)]}, Example(ASKED)),
    ],
)  # fmt: skip
def test_a_published_row(row: Row, example: Example) -> None:
    assert parsed(row) == example


def test_system_and_history_come_before_the_question() -> None:
    row = {"system": "Be brief.", "history": [["Hi.", "Hello."]], "query": Q, "response": GOOD}
    turns = (("system", "Be brief."), ("user", "Hi."), ("assistant", "Hello."), ("user", Q))
    assert parsed(row) == Example(turns, (GOOD,), (1.0,))
    with pytest.raises(RowDropError, match="multi_turn"):
        parsed(row, keep=False)
    pair = {"system_prompt": "Be brief.", "prompt": Q, "chosen": GOOD, "rejected": BAD}
    assert parsed(pair).turns == (("system", "Be brief."), ("user", Q))
    whole = {"system": "Be brief.", "chosen": ONE, "rejected": OTHER, "prompt": Q}
    assert parsed(whole).turns == (("system", "Be brief."), ("user", Q))


def test_a_multi_turn_prompt_is_counted_as_one() -> None:
    row = {"prompt": f"\n\nHuman: Hi.\n\nAssistant: Hello.{MARKED}"}
    assert parsed(row).user_turns == 2
    with pytest.raises(RowDropError, match="multi_turn"):
        parsed(row, keep=False)


def test_what_was_read_is_said() -> None:
    row = {"question": Q, "chosen": GOOD, "rejected": BAD, "prompt": Q, "source": "a book"}
    assert str(recognise([row])) == (
        "read as preference pairs from prompt, chosen, rejected; "
        "not read: question (says the same), source"
    )


# --- refusals


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": Q, "ground_truth": GOOD, "6b_solution": BAD}, "6b_solution looks like a"),
        ({"question": Q, "answer_matching_behavior": " (A)", "answer_not_matching_behavior": "B"},
         "answer_matching_behavior looks like a response"),
        ({"prompt": Q, "response_a": GOOD, "response_b": BAD}, "no column says which is better"),
        ({"prompt": Q, "response_a": GOOD, "response_b": BAD, "label": 1}, "which is better"),
        ({"prompt": Q, "rejected": BAD}, "rejected stands without the response"),
        ({"prompt": Q, "first": GOOD, "second": BAD}, "first looks like a response"),
        ({"original_prompt": Q, "chosen": GOOD, "rejected": BAD}, "original_prompt may hold the"),
        ({"system": Q, "chosen": GOOD, "rejected": BAD}, "system may hold the prompt"),
        ({"problem": Q, "solution": GOOD, "answer": "4"}, "may both be the completion"),
        ({"prompt": Q, "question": "Another one?", "chosen": GOOD, "rejected": BAD},
         "prompt and question may both be the prompt"),
        ({"prompt": Q, "chosen": GOOD, "rejected": BAD, "all_responses": [GOOD, BAD, "A third."]},
         "all_responses looks like a response"),
        ({"output": GOOD}, "no column holds the prompt that output answers"),
        ({"text": Q}, "columns text: no known format"),
    ],
)  # fmt: skip
def test_a_response_or_question_is_never_left_unread(row: Row, message: str) -> None:
    assert message in refused(row)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": {"text": Q, "role": "prompter", "replies": []}},
        {"message_id": "1", "parent_id": None, "text": Q, "role": "prompter"},
    ],
)
def test_trees_of_messages_are_refused(row: Row) -> None:
    with pytest.raises(LayoutError, match=r"tree.*one row for each prompt"):
        recognise([row])


def test_several_scored_rows_to_a_prompt_are_no_demonstrations() -> None:
    rows = [{"prompt": Q, "response": text, "helpfulness": n} for text, n in ((GOOD, 4), (BAD, 0))]
    assert "several rows answer one prompt and helpfulness says how well" in refused(*rows)
    assert recognise(rows, "demonstrations").not_read == ("helpfulness",)


def test_naming_the_format_leaves_the_others_unread_in_words() -> None:
    row = {"question": Q, "answer_matching_behavior": "(A)"}
    layout = recognise([row], "prompts")
    assert str(layout) == "read as prompts alone from question; not read: answer_matching_behavior"
    assert "data.format is preference, which needs chosen and rejected, or" in refused(
        row, format_name="preference"
    )


# --- names given in the recipe


def test_columns_are_mapped() -> None:
    row = {"frage": Q, "a": GOOD, "b": BAD, "response": "A third."}
    given = {"prompt": "frage", "chosen": "a", "rejected": "b"}
    assert parsed(row, given=given) == PAIR
    assert recognise([row], given=given).not_read == ("response",)
    assert parsed({"q": Q, "x": BAD, "y": GOOD, "n": 1, "m": 2},
                  given={"prompt": "q", "responses": ["x", "y"], "scores": ["n", "m"]},
                  ) == Example(ASKED, (BAD, GOOD), (1.0, 2.0))  # fmt: skip
    assert "no column 'goood' for chosen; did you mean good?" in refused(
        {"prompt": Q, "good": GOOD, "bad": BAD}, given={"chosen": "goood"}
    )


# --- rows that are not like the first


def test_a_prompt_that_quotes_a_transcript_does_not_make_all_of_them_transcripts() -> None:
    plain = {"prompt": Q, "chosen": GOOD, "rejected": BAD}
    quoting = {**plain, "prompt": f"Go on.{MARKED} no.\n\nHuman: Why?"}
    layout = recognise([quoting, plain, plain])
    assert layout.format == "preference"
    assert parse_row(quoting, layout, False).turns == (("user", quoting["prompt"]),)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": Q, "completion": BAD, "label": False}, "marked_bad"),
        ({"prompt": Q, "completion": BAD, "label": "0"}, "marked_bad"),
        ({"prompt": Q, "completion": BAD, "is_unsafe": True}, "marked_bad"),
        ({"prompt": Q, "response_a": GOOD, "response_b": BAD, "winner": "tie (bothbad)"},
         "marked_bad"),
        ({"messages": [*ONE[:1], {**assistant(GOOD), "tool_calls": [{"name": "f"}]}]},
         "not_only_text"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]},
                       assistant(GOOD)]}, "not_only_text"),
        ({"messages": [said("function_call", "{}"), said("gpt", GOOD)]}, "roles_out_of_order"),
        ({"prompt": "Something else?", "chosen": ONE, "rejected": OTHER}, "prompts_differ"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_used(row: Row, reason: str) -> None:
    assert dropped(row) == reason


def test_a_bad_row_after_the_first_ones() -> None:
    layout = recognise([{"prompt": Q, "completion": GOOD}])
    for more, reason in (
        ({"label": False}, "marked_bad"),
        ({"rejected": BAD}, "new_column"),
        ({"system": "Be brief."}, "new_column"),
    ):
        with pytest.raises(RowDropError, match=reason):
            parse_row({"prompt": Q, "completion": GOOD, **more}, layout, False)
    with pytest.raises(RowDropError, match="missing_field"):
        pairs = recognise([{"prompt": Q, "chosen": GOOD, "rejected": BAD}])
        parse_row({"chosen": f"So {GOOD}", "rejected": f"So {BAD}"}, pairs, False)
    cells = recognise([{"messages": str(ONE)}])
    with pytest.raises(RowDropError, match="invalid_cell"):
        parse_row({"messages": str(ONE)[:40]}, cells, False)
