"""A number is an answer; the number of a choice is none."""

import pytest

from rlhf_compare.data.formats import Example
from tests.data.rows import N, Row, answers, examples, refused

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


def test_a_list_that_is_shorter_than_the_answer_holds_no_choices() -> None:
    rows: list[Row] = [
        {"question": f"What is {i} + 3?", "answer": i + 3, "evidence": ["One book."]}
        for i in range(N)
    ]
    assert answers(rows) == [str(i + 3) for i in range(N)]


@pytest.mark.parametrize("write", [float, str])
def test_the_number_of_a_choice_in_any_spelling_is_no_answer(write: type) -> None:
    rows: list[Row] = [
        {"question": f"What is {i}?", "choices": ["one", "two", "three"], "answer": write(i % 3)}
        for i in range(N)
    ]
    assert "answer names a choice" in refused(rows)


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
