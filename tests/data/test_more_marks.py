"""Marks inside messages and records, withdrawn responses, verdicts of a pair that are called label,
answers that are numbers: what is marked is obeyed, and nothing is lost in silence."""

import json
from pathlib import Path
from typing import Any

import pytest

from rlhf_compare.data.config import DataConfig, TaskConfig
from rlhf_compare.data.formats import Example, LayoutError, parse_row, recognise
from rlhf_compare.data.formats.values import SCORE_KEYS
from rlhf_compare.data.prepare import prepare
from rlhf_compare.data.reasons import RowDropError
from rlhf_compare.data.tasks import rank
from rlhf_compare.data.views import demonstration_view
from rlhf_compare.models.tokenizer import train_tokenizer

Row = dict[str, Any]
N = 6
KEPT_OR_BAD = ["marked_bad" if i % 2 else f"Text {i}." for i in range(N)]


def examples(given: list[Row], **named: Any) -> list[Example | str]:
    layout = recognise(given, named.pop("format_name", "auto"), named)
    found: list[Example | str] = []
    for row in given:
        try:
            found.append(parse_row(row, layout, True))
        except RowDropError as drop:
            found.append(drop.reason)
    return found


def answers(given: list[Row], **named: Any) -> list[str]:
    return [e if isinstance(e, str) else e.responses[0] for e in examples(given, **named)]


def question(i: int) -> str:
    return f"Is {i} a tree?"


def said(i: int, **fields: Any) -> Row:
    return {"role": "assistant", "content": f"Text {i}.", **fields}


def refused(given: list[Row], **named: Any) -> str:
    with pytest.raises(LayoutError) as error:
        examples(given, **named)
    return str(error.value)


# --- one response, and a mark beside it or inside it

MARKS: list[tuple[str, object, object]] = [
    *[(name, False, True) for name in (
        "is_refusal", "refused", "deleted", "removed", "is_deleted", "response_removed", "spam",
        "contains_refusal", "has_error", "truncated", "blocked", "retracted", "discarded",
    )],
    *[(name, True, False) for name in ("keep", "include")],
    ("score", 1, 0), ("rating", "good", "bad"), ("feedback", "up", "down"), ("label", 1, 0),
    ("status", "published", "removed"), ("status", "ok", "deleted"),
    ("finish_reason", "stop", "content_filter"), ("stop_reason", "end_turn", "refusal"),
    ("review_status", "approved", "rejected"),
]  # fmt: skip


@pytest.mark.parametrize(("mark", "good", "bad"), MARKS)
@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("where", ["column", "message", "record", "completion"])
def test_a_marked_response_is_no_demonstration(
    mark: str, good: object, bad: object, as_text: bool, where: str
) -> None:
    def row(i: int) -> Row:
        value = bad if i % 2 else good
        fields = {mark: str(value) if as_text else value}  # as a CSV file has it
        if where == "column":
            return {"prompt": question(i), "response": f"Text {i}.", **fields}
        if where == "message":
            return {"messages": [{"role": "user", "content": question(i)}, said(i, **fields)]}
        if where == "record":
            return {"prompt": question(i), "response": {"text": f"Text {i}.", **fields}}
        return {"prompt": question(i), "completion": [said(i, **fields)]}

    assert answers([row(i) for i in range(N)]) == KEPT_OR_BAD


@pytest.mark.parametrize("gone", ["[deleted]", "[removed]", " [Deleted by user] "])
def test_a_text_that_says_it_is_gone_is_no_answer(gone: str) -> None:
    rows: list[Row] = [
        {"prompt": question(i), "response": gone if i % 2 else f"Text {i}."} for i in range(N)
    ]
    assert answers(rows) == KEPT_OR_BAD
    pairs: list[Row] = [
        {"prompt": r["prompt"], "chosen": r["response"], "rejected": "No."} for r in rows
    ]
    assert answers(pairs) == KEPT_OR_BAD
    ranked: list[Row] = [
        {"prompt": r["prompt"], "responses": [r["response"], "No."], "scores": [2, 1]} for r in rows
    ]
    assert answers(ranked) == KEPT_OR_BAD


@pytest.mark.parametrize("key", SCORE_KEYS)
def test_a_grade_inside_a_response_is_asked_about(key: str) -> None:
    messages: list[Row] = [
        {"messages": [{"role": "user", "content": question(i)}, said(i, **{key: i / 4})]}
        for i in range(N)
    ]
    words = refused(messages)
    assert f"messages.{key} may say how good" in words and "data.format=demonstrations" in words
    assert answers(messages, format_name="demonstrations")[1] == "Text 1."
    records: list[Row] = [
        {"prompt": question(i), "response": {"text": f"Text {i}.", key: i}} for i in range(N)
    ]
    assert f"response.{key} may say how good" in refused(records)


# --- several responses, the best of them marked


def best_is_marked(i: int, where: str, mark: str, good: object, bad: object) -> Row:
    value = bad if i % 2 else good
    row: Row = {"prompt": question(i)}
    if where == "chosen's column":
        return {**row, "chosen": f"Text {i}.", "rejected": "No.", f"chosen_{mark}": value}
    if where == "row":
        return {**row, "chosen": f"Text {i}.", "rejected": "No.", mark: value}
    if where == "chosen's message":
        return {**row, "chosen": [said(i, **{mark: value})], "rejected": [said(50)]}
    if where == "numbered column":
        sides = {"response_0": "No.", "response_1": f"Text {i}.", "better_response_id": 1}
        return {**row, **sides, f"response_1_{mark}": value, f"response_0_{mark}": bad}
    if where == "list":
        flags = {mark: [bad, value]}
        return {**row, "responses": ["No.", f"Text {i}."], "scores": [1, 2], **flags}
    records = [{"text": "No.", "score": 1, mark: bad}, {"text": f"Text {i}.", "score": 2}]
    records[1][mark] = value
    return {**row, "responses": records}


@pytest.mark.parametrize(
    "where",
    ["chosen's column", "row", "chosen's message", "numbered column", "list", "record"],
)
@pytest.mark.parametrize(
    ("mark", "good", "bad"), [("deleted", False, True), ("is_refusal", 0, 1), ("spam", "no", "yes")]
)
def test_a_marked_best_response_ranks_and_is_no_demonstration(
    where: str, mark: str, good: object, bad: object
) -> None:
    found = examples([best_is_marked(i, where, mark, good, bad) for i in range(N)])
    preference, prefix = TaskConfig(name="preference"), TaskConfig()
    for i, example in enumerate(found):
        assert isinstance(example, Example)
        ranked = rank(example, preference, "p")
        assert set(ranked.responses) == {f"Text {i}.", "No." if "mess" not in where else "Text 50."}
        if i % 2 == 0:
            assert ranked.demonstration == f"Text {i}." and "demonstrations" in ranked.feeds
            continue
        assert ranked.demonstration == "" and ranked.feeds == ("rankings", "prompts")
        with pytest.raises(RowDropError) as drop:
            rank(example, prefix, "p")
        assert drop.value.reason == "marked_bad"


def test_rows_whose_best_response_is_marked_are_counted(tmp_path: Path) -> None:
    rows = [best_is_marked(i, "record", "deleted", False, True) for i in range(40)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = DataConfig(source="file", path=str(path), eval_share=0.3)
    tokenizer = train_tokenizer([], 257)
    made = prepare(data, TaskConfig(name="preference"), lambda _: tokenizer)
    learned = [row for row in made.train if row["demonstration_ids"]]
    assert made.ledger.kept == 40 and 0 < len(learned) < len(made.train)
    assert made.ledger.feeds["demonstrations"] == len(demonstration_view(made.train))
    assert made.ledger.feeds["demonstrations"] == len(learned)
    assert made.ledger.feeds["rankings"] == len(made.train)
    assert all(int(row["demonstration"][5:-1]) % 2 == 0 for row in learned)


def test_safety_of_the_better_response_counts_too() -> None:
    rows = [
        {
            "prompt": question(i),
            "response_0": "No.",
            "response_1": f"Text {i}.",
            "is_response_0_safe": i % 2 == 1,
            "is_response_1_safe": i % 2 == 0,
            "better_response_id": 1,
        }
        for i in range(N)
    ]
    for i, example in enumerate(examples(rows)):
        assert isinstance(example, Example) and len(example.responses) == 2
        learned = rank(example, TaskConfig(name="preference"), "p").demonstration
        assert learned == ("" if i % 2 else f"Text {i}.")


# --- which response of a pair is better, under the name of a label


def pair_rows(names: tuple[str, str], mark: str, first: object, second: object) -> list[Row]:
    """The first response is the better one at even places, the second at odd places."""
    return [
        {
            "prompt": question(i),
            names[0]: f"Yes, {i} is.",
            names[1]: f"No, {i} is not.",
            mark: second if i % 2 else first,
        }
        for i in range(N)
    ]


AB, ZERO, ONE = ("response_a", "response_b"), ("response_0", "response_1"), ("answer1", "answer2")


@pytest.mark.parametrize(
    ("names", "mark", "first", "second"),
    [
        (AB, "label", 1, 2),
        (AB, "label", "1", "2"),
        (AB, "label", "A", "B"),
        (AB, "human_label", "a", "b"),
        (AB, "annotation", "response_a", "response_b"),
        (AB, "label", "first", "second"),
        (AB, "preference", "first", "second"),
        (AB, "winner", "left", "right"),
        (ZERO, "label", 0, 1),
        (ZERO, "label", 0.0, 1.0),
        (ONE, "label", 1, 2),
        (ONE, "winner", "first", "second"),
        (AB, "a_is_better", True, False),
        (AB, "is_b_better", 0, 1),
        (AB, "response_b_preferred", "no", "yes"),
        (AB, "chosen_is_first", True, False),
        (ONE, "first_is_better", "True", "False"),
        (ZERO, "prefer_1", False, True),
    ],
)
def test_which_of_a_pair_is_better(
    names: tuple[str, str], mark: str, first: object, second: object
) -> None:
    for i, example in enumerate(examples(pair_rows(names, mark, first, second))):
        assert isinstance(example, Example)
        assert example.responses == (f"Yes, {i} is.", f"No, {i} is not.")
        assert example.scores == ((0.0, 1.0) if i % 2 else (1.0, 0.0))


@pytest.mark.parametrize(
    ("names", "first", "second"),
    [(AB, 0, 1), (AB, 1, 0), (AB, True, False), (AB, -1, 1), (ONE, 0, 1), (AB, "0", "1")],
)
def test_a_label_that_may_mean_either_is_asked_about(
    names: tuple[str, str], first: object, second: object
) -> None:
    rows = pair_rows(names, "label", first, second)
    words = refused(rows)
    assert "label" in words and "may mean" in words and f"{names[0]} or {names[1]}" in words


@pytest.mark.parametrize(
    ("mark", "values"),
    [("choice", (1, 2)), ("choice", ("A", "B")), ("label", (1, 2)), ("label", ("a", "b")),
     ("best", (0, 1)), ("winner", ("first", "second"))],
)  # fmt: skip
def test_which_of_a_list_is_better(mark: str, values: tuple[object, object]) -> None:
    rows: list[Row] = [
        {"prompt": question(i), "responses": [f"Yes, {i}.", f"No, {i}."], mark: values[i % 2]}
        for i in range(N)
    ]
    for i, example in enumerate(examples(rows)):
        assert isinstance(example, Example)
        assert example.scores == ((0.0, 1.0) if i % 2 else (1.0, 0.0))


def test_a_side_in_prose_names_no_response() -> None:
    """Its words "a" and "i" are no names of the first and the ninth response."""
    rows: list[Row] = [
        {
            "prompt": question(i),
            "completions": [f"It is a tree {i}.", "It may be.", "No.", "Never."],
            "chosen": f"It is a tree {i}.",
            "rejected": "No.",
        }
        for i in range(N)
    ]
    for i, example in enumerate(examples(rows, format_name="preference")):
        assert isinstance(example, Example)
        assert example.responses == (f"It is a tree {i}.", "No.")


def test_a_label_of_a_list_that_may_mean_either_is_asked_about() -> None:
    rows: list[Row] = [
        {"prompt": question(i), "responses": [f"Yes, {i}.", f"No, {i}."], "label": i % 2}
        for i in range(N)
    ]
    assert "label" in refused(rows) and "may mean" in refused(rows)


def test_equal_scores_inside_both_sides_are_a_tie() -> None:
    rows: list[Row] = [
        {"prompt": question(i), "chosen": said(i, score=4), "rejected": said(50, score=4 - i % 2)}
        for i in range(N)
    ]
    scores = [e.scores for e in examples(rows) if isinstance(e, Example)]
    assert scores == [(1.0, 0.0) if i % 2 else (1.0, 1.0) for i in range(N)]


def test_rated_messages_are_ranked_responses() -> None:
    rows: list[Row] = [
        {"prompt": question(i), "responses": [said(0, rating=1), said(1, rating=4)]}
        for i in range(N)
    ]
    for example in examples(rows):
        assert isinstance(example, Example)
        assert (example.responses, example.scores) == (("Text 0.", "Text 1."), (1.0, 4.0))


# --- answers that are numbers


HUGE = pytest.param(10**400, "1" + "0" * 400, id="huge")


@pytest.mark.parametrize("name", ["answer", "completion", "output", "final_answer"])
@pytest.mark.parametrize(
    ("value", "text"), [(42, "42"), (2.5, "2.5"), (3.0, "3"), (-7, "-7"), HUGE]
)
def test_a_number_is_an_answer(name: str, value: object, text: str) -> None:
    rows: list[Row] = [{"question": f"What is {i}?", name: value} for i in range(N)]
    assert answers(rows) == [text] * N
    mixed = [*rows, {"question": "And now?", name: "many"}]
    assert answers(mixed) == [*[text] * N, "many"]
    told = [*rows[:2], *[{"question": f"And {i}?", name: "many"} for i in range(N)]]
    assert answers(told) == [text, text, *["many"] * N]


def test_numbers_are_compared_as_texts_are() -> None:
    pairs: list[Row] = [{"prompt": f"{i} + 1?", "chosen": i + 1, "rejected": i} for i in range(N)]
    lists: list[Row] = [
        {"prompt": f"{i} + 1?", "responses": [i + 1, i], "scores": [1, 0]} for i in range(N)
    ]
    for rows in (pairs, lists):
        for i, example in enumerate(examples(rows)):
            assert isinstance(example, Example)
            assert example.responses == (str(i + 1), str(i)) and example.scores == (1.0, 0.0)


def test_the_number_of_a_choice_is_no_answer() -> None:
    listed: list[Row] = [
        {"question": f"What is {i}?", "choices": ["one", "two", "three"], "answer": i % 3}
        for i in range(N)
    ]
    lettered: list[Row] = [
        {"question": f"What is {i}?", "A": "one of", "B": "two of", "C": "none", "answer": i % 3}
        for i in range(N)
    ]
    assert "answer names a choice" in refused(listed)
    assert "answer names a choice" in refused(lettered)


def test_an_answer_that_is_neither_text_nor_number_is_not_left_out_in_silence() -> None:
    rows: list[Row] = [{"question": f"Is {i} odd?", "answer": i % 2 == 1} for i in range(N)]
    assert "answer looks like a response" in refused(rows)
    assert examples(rows, format_name="prompts")  # somebody who says so
    targets: list[Row] = [{"prompt": f"Is {i} odd?", "target": i} for i in range(N)]
    assert "target looks like a response" in refused(targets)


def test_a_worked_solution_goes_before_the_number_it_ends_in() -> None:
    rows: list[Row] = [
        {"question": f"What is {i}?", "solution": f"It is clear: {i}", "answer": i}
        for i in range(N)
    ]
    assert answers(rows) == [f"It is clear: {i}" for i in range(N)]
