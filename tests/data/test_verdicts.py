"""Which of several responses is better: read where one meaning is possible, else asked about."""

import pytest

from rlhf_compare.data.formats import Example
from tests.data.rows import N, Row, examples, question, refused, said

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


@pytest.mark.parametrize("values", [(1, 2), ("A", "B"), (0, 1), ("first", "second")])
def test_a_verdict_of_any_name_is_read_so_too(values: tuple[object, object]) -> None:
    rows: list[Row] = [
        {"prompt": question(i), "responses": [f"Yes, {i}.", f"No, {i}."], "rated": values[i % 2]}
        for i in range(N)
    ]
    for i, example in enumerate(examples(rows, better="rated")):
        assert isinstance(example, Example)
        assert example.scores == ((0.0, 1.0) if i % 2 else (1.0, 0.0))


def test_a_named_verdict_that_may_mean_either_is_asked_about() -> None:
    assert "better" in refused(pair_rows(AB, "rated", True, False), better="rated")
    rows: list[Row] = [
        {"prompt": question(i), "responses": [f"Yes, {i}.", f"No, {i}."], "rated": "perhaps"}
        for i in range(N)
    ]
    assert "rated names none of the responses" in refused(rows, better="rated")
