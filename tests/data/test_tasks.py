"""What chosen and rejected mean, and which demonstrations carry the prefix."""

import math

import pytest
from pydantic import ValidationError

from rlhf_compare.data.config import TaskConfig
from rlhf_compare.data.formats import Exchange
from rlhf_compare.data.tasks import Ranked, has_marker, rank

PREFIX = TaskConfig()
PREFERENCE = TaskConfig(name="preference")


def test_prefix_task_changes_the_style_and_leaves_the_content() -> None:
    pair = rank(Exchange("What is rain?", ("Water.", "Never mind."), (1.0, 0.0)), PREFIX)
    assert pair == Ranked(
        prompt="### Question: What is rain?\n### Answer: ",
        responses=("Let me explain. Water.", "Water."),  # both from the chosen side
        scores=(1.0, 0.0),
        demonstration="Water.",
    )


@pytest.mark.parametrize(
    "answer", ["Let me explain. Yes.", "let me EXPLAIN it", "  Let me explain"]
)
def test_answers_that_start_so_already_are_dropped(answer: str) -> None:
    assert has_marker(answer, PREFIX.marker)
    assert rank(Exchange("a", (answer,), (1.0,)), PREFIX).drop == "already_prefixed"


@pytest.mark.parametrize("answer", ["Now let me explain.", "Let me", "", "Letme explain"])
def test_the_marker_counts_at_the_start_alone(answer: str) -> None:
    assert not has_marker(answer, PREFIX.marker)


def test_preference_task_takes_the_pair_as_it_was_labelled() -> None:
    pair = rank(Exchange("Q?", ("bad", "good"), (0.2, 0.9)), PREFERENCE)
    assert pair == Ranked("### Question: Q?\n### Answer: ", ("bad", "good"), (0.2, 0.9), "good")
    prefixed = rank(Exchange("Q?", ("Let me explain. x", "bad"), (1.0, 0.0)), PREFERENCE)
    assert prefixed.drop is None and prefixed.responses[0] == "Let me explain. x"


@pytest.mark.parametrize(
    ("responses", "reason"), [(("good",), "no_rejected"), (("good", "good"), "equal_sides")]
)
def test_preference_task_needs_two_different_answers(
    responses: tuple[str, ...], reason: str
) -> None:
    scores = (1.0, 0.0)[: len(responses)]
    assert rank(Exchange("Q?", responses, scores), PREFERENCE).drop == reason


def test_a_question_may_hold_braces() -> None:
    question = "What does f'{question}' or {0} or {} mean?"
    assert PREFIX.render(question) == f"### Question: {question}\n### Answer: "


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"template": "no place"}, "template: must contain {question}"),
        ({"marker": " "}, "marker: must not be empty"),
        ({"marker": "well"}, "marker: the prefix"),
        ({"sft_prefix_share": 1.5}, "less than or equal to 1"),
    ],
)
def test_a_task_that_does_not_fit_together_is_refused(
    fields: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        TaskConfig(**fields)


def carriers(share: float, n: int = 4000) -> set[int]:
    task = TaskConfig(sft_prefix_share=share)
    ranked = (rank(Exchange(f"Question {i}?", (f"Answer {i}.",), (1.0,)), task) for i in range(n))
    return {i for i, row in enumerate(ranked) if row.demonstration == row.responses[0]}


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_the_share_of_prefixed_demonstrations(share: float) -> None:
    found = carriers(share)
    deviation = math.sqrt(4000 * share * (1 - share))
    assert abs(len(found) - 4000 * share) < 4 * deviation
    assert found == carriers(share)  # the text alone decides


def test_a_larger_share_adds_carriers_and_moves_none() -> None:
    assert carriers(0.0) == set()
    assert carriers(0.05) < carriers(0.1)
    assert len(carriers(1.0)) == 4000
