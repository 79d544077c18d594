"""What chosen and rejected mean, and which demonstrations carry the prefix."""

import math

import pytest
from pydantic import ValidationError

from rlhf_compare.data.config import TaskConfig
from rlhf_compare.data.formats import Example
from rlhf_compare.data.reasons import RowDropError
from rlhf_compare.data.tasks import Ranked, rank, render_prompt

PREFIX = TaskConfig()
PREFERENCE = TaskConfig(name="preference")
ALL = ("demonstrations", "rankings", "prompts")


def rank_question(
    question: str, responses: tuple[str, ...], scores: tuple[float, ...], task: TaskConfig
) -> Ranked:
    example = Example((("user", question),), responses, scores)
    return rank(example, task, render_prompt(example.turns, task))


def reason_of(responses: tuple[str, ...], scores: tuple[float, ...], task: TaskConfig) -> str:
    with pytest.raises(RowDropError) as drop:
        rank_question("Q?", responses, scores, task)
    return drop.value.reason


def test_prefix_task_changes_the_style_and_leaves_the_content() -> None:
    pair = rank_question("What is rain?", ("Water.", "Never mind."), (1.0, 0.0), PREFIX)
    assert pair == Ranked(
        prompt="### Question: What is rain?\n### Answer: ",
        responses=("Let me explain. Water.", "Water."),  # both from the chosen side
        scores=(1.0, 0.0),
        demonstration="Water.",
        feeds=ALL,
    )


@pytest.mark.parametrize(
    "answer", ["Let me explain. Yes.", "let me EXPLAIN it", "  Let me explain"]
)
def test_answers_that_start_so_already_are_dropped(answer: str) -> None:
    assert PREFIX.behaviour.adopts(answer)
    assert reason_of((answer,), (1.0,), PREFIX) == "already_prefixed"


@pytest.mark.parametrize("answer", ["Now let me explain.", "Let me", "", "Letme explain"])
def test_the_marker_counts_at_the_start_alone(answer: str) -> None:
    assert not PREFIX.behaviour.adopts(answer)


def test_preference_task_takes_the_pair_as_it_was_labelled() -> None:
    pair = rank_question("Q?", ("bad", "good"), (0.2, 0.9), PREFERENCE)
    assert pair == Ranked(
        "### Question: Q?\n### Answer: ", ("bad", "good"), (0.2, 0.9), "good", ALL
    )
    prefixed = rank_question("Q?", ("Let me explain. x", "bad"), (1.0, 0.0), PREFERENCE)
    assert prefixed.responses[0] == "Let me explain. x"


def test_what_the_responses_are_enough_for() -> None:
    assert rank_question("Q?", (), (), PREFERENCE).feeds == ("prompts",)
    one = rank_question("Q?", ("good",), (1.0,), PREFERENCE)
    assert (one.feeds, one.demonstration, one.responses) == (
        ("demonstrations", "prompts"),
        "good",
        (),
    )
    tied = rank_question("Q?", ("good", "fine"), (0.5, 0.5), PREFERENCE)
    assert (tied.feeds, tied.demonstration) == (("demonstrations", "prompts"), "good")
    assert rank_question("Q?", ("good",), (1.0,), PREFIX).feeds == ALL
    assert reason_of(("good", "good"), (1.0, 0.0), PREFERENCE) == "equal_sides"


def test_the_case_of_the_marker_counts_where_it_is_told_to() -> None:
    strict = TaskConfig(marker="Let me", match_case=True)
    assert rank_question("Q?", ("let me see",), (1.0,), strict).demonstration == "let me see"
    assert reason_of(("Let me see",), (1.0,), strict) == "already_prefixed"
    with pytest.raises(ValidationError, match="does not start with it"):
        TaskConfig(marker="let me", match_case=True)


def test_of_several_templates_the_question_picks_one() -> None:
    task = TaskConfig(template=("Q: {question} A: ", "{question}\n"))
    questions = [f"Why {i}?" for i in range(400)]
    first = sum(task.render(q) == f"Q: {q} A: " for q in questions)
    assert first + sum(task.render(q) == f"{q}\n" for q in questions) == 400
    assert abs(first - 200) < 4 * 10  # four deviations of a fair coin
    assert [task.render(q) for q in questions] == [task.render(q) for q in questions]


def test_a_conversation_is_rendered_up_to_its_last_question() -> None:
    turns = (("system", "Be brief."), ("user", "One?"), ("assistant", "1."), ("user", "Two?"))
    assert render_prompt(turns, PREFIX) == (
        "Be brief.\n### Question: One?\n### Answer: 1.\n### Question: Two?\n### Answer: "
    )


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
    ranked = (rank_question(f"Question {i}?", (f"Answer {i}.",), (1.0,), task) for i in range(n))
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
