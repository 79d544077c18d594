"""A response that people or a checker marked bad is never a demonstration, however it is marked."""

from typing import Any

import pytest

from rlhf_compare.data.formats import LayoutError, parse_row, recognise
from rlhf_compare.data.formats.marks import flag_of
from rlhf_compare.data.reasons import RowDropError

Row = dict[str, Any]
N = 6


def rows(mark: str, good: object, bad: object) -> list[Row]:
    """Good responses at even places, bad ones at odd places."""
    return [
        {"prompt": f"Is {i} a tree?", "response": f"Text {i}.", mark: bad if i % 2 else good}
        for i in range(N)
    ]


def parsed(given: list[Row], format_name: str = "auto") -> list[str]:
    layout = recognise(given, format_name)
    found = []
    for row in given:
        try:
            found.append(parse_row(row, layout, True).responses[0])
        except RowDropError as drop:
            found.append(drop.reason)
    return found


@pytest.mark.parametrize(
    ("mark", "good", "bad"),
    [
        ("label", "thumbs_up", "thumbs_down"),
        ("label", "Good", "Bad"),
        ("label", "safe", "unsafe"),
        ("label", 1.0, 0.0),
        ("label", 1, -1),
        ("feedback", "positive", "negative"),
        ("user_feedback", "like", "dislike"),
        ("feedback", "👍", "👎"),
        ("thumbs_up", 1, 0),
        ("rating", "good", "bad"),
        ("score", 1.0, 0.0),
        ("score", "1", "0"),
        ("reward", 1, -1),
        ("response_quality", "good", "bad"),
        ("liked", True, False),
        ("if_chosen", True, False),
        ("is_preferred", True, False),
        ("passed", "pass", "fail"),
        ("verdict", "correct", "incorrect"),
        ("correctness", True, False),
        ("flagged", False, True),
        ("is_toxic", "no", "yes"),
        ("hallucinated", 0, 1),
    ],
)
def test_a_bad_completion_is_no_demonstration(mark: str, good: object, bad: object) -> None:
    wanted = ["marked_bad" if i % 2 else f"Text {i}." for i in range(N)]
    assert parsed(rows(mark, good, bad)) == wanted


@pytest.mark.parametrize("key", ["weight", "train", "loss"])
def test_a_message_that_is_not_to_be_learned_is_no_demonstration(key: str) -> None:
    def talk(mark: object) -> Row:
        answer = {"role": "assistant", "content": "Text.", key: mark}
        return {"messages": [{"role": "user", "content": "Is it?"}, answer]}

    assert parsed([talk(1), talk(0), talk(None), talk(False)]) == [
        "Text.", "marked_bad", "Text.", "marked_bad",
    ]  # fmt: skip


def test_a_grade_beside_each_response_is_asked_about() -> None:
    graded = [{**row, "score": i} for i, row in enumerate(rows("id", "a", "b"))]
    with pytest.raises(LayoutError, match=r"score may say how good .*data.format=demonstrations"):
        recognise(graded)
    assert parsed(graded, "demonstrations")[1] == "Text 1."
    # a grade of something else, and a count, are no grade of the response
    for name in ("instruct_reward", "num_tokens", "turns"):
        other = [{**row, name: i} for i, row in enumerate(rows("id", "a", "b"))]
        assert recognise(other).not_read == ("id", name)


def test_what_is_a_mark() -> None:
    assert [flag_of(value) for value in (True, 1.0, "1", "Thumbs Up", "yes")] == [True] * 5
    assert [flag_of(value) for value in (False, 0, "-1", "0.0", "Incorrect")] == [False] * 5
    assert [flag_of(value) for value in (None, "", 2, 0.5, "a tree", [1])] == [None] * 6
