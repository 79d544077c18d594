"""Win rates by hand, and the intervals that stand around them."""

from itertools import count

import numpy as np
import pytest

from rlhf_compare.evaluation.measure import Measurement
from rlhf_compare.evaluation.preferences import Agreement
from rlhf_compare.evaluation.summary import compare
from rlhf_compare.evaluation.win_rates import (
    JUDGE,
    PROXY,
    Opinion,
    by_scores,
    finish,
    is_win_rate,
    judge_agreement,
)

_NUMBERS = count()


def run(
    *scores: list[float], judge: str = JUDGE, texts: list[list[str]] | None = None
) -> Measurement:
    """One prompt a list; different texts everywhere unless given."""
    own = texts or [[f"text {next(_NUMBERS)}" for _ in some] for some in scores]
    columns = {"length": [1.0] * len(scores)}
    return Measurement(per_prompt=columns, answers=[], sampled=own, scores={judge: list(scores)})


def rates(
    methods: dict[str, dict[int, Measurement]], **more: object
) -> dict[tuple[str, str, str], dict]:
    rows = [finish(row) for row in compare(methods, **more) if is_win_rate(row)]  # type: ignore[arg-type]
    return {(row["a"], row["b"], row["judge"]): row for row in rows}


def test_every_answer_of_one_meets_every_answer_of_the_other() -> None:
    """1 beats 0 and not 2, 3 beats both: three of four. A tie of scores is half a win."""
    found = by_scores(run([1.0, 3.0], [5.0, 5.0]), run([0.0, 2.0], [5.0, 7.0]), JUDGE)
    assert found is not None
    assert found.share == [0.75, 0.25] and found.ties == [0.0, 0.5]
    assert by_scores(run([1.0]), run([1.0], judge=PROXY), JUDGE) is None


def test_equal_answers_tie_whatever_a_batch_rounds() -> None:
    a = run([1.0 + 1e-7, 4.0], texts=[["same", "a"]])
    b = run([1.0, 2.0], texts=[["same", "b"]])
    found = by_scores(a, b, JUDGE)
    assert found is not None  # same-same tie; same-b lost; a-same, a-b won
    assert found.share == [(0.5 + 0.0 + 1.0 + 1.0) / 4] and found.ties == [0.25]


def test_seeds_are_compared_under_their_own_judge() -> None:
    """Judges of different scale: under each seed a wins; across seeds it would lose."""
    a = {0: run(*[[1.0]] * 20), 1: run(*[[101.0]] * 20), 2: run(*[[11.0]] * 20)}
    b = {0: run(*[[0.0]] * 20), 1: run(*[[100.0]] * 20), 2: run(*[[10.0]] * 20)}
    row = rates({"ppo": a, "dpo": b})["ppo", "dpo", JUDGE]
    assert row["share"]["by_seed"] == [1.0, 1.0, 1.0] and row["verdict"] == "ppo preferred"
    assert 0.8 < row["share"]["low"] < 1.0  # 20 wins of 20 leave room


def test_the_null_is_a_draw_and_the_turned_pair_says_the_same() -> None:
    draw = np.random.default_rng(0)
    scores = {
        name: {s: run(*draw.normal(size=(60, 4)).tolist()) for s in range(3)} for name in "ab"
    }
    row = rates({"ppo": scores["a"], "dpo": scores["b"]})["ppo", "dpo", JUDGE]
    back = rates({"dpo": scores["b"], "ppo": scores["a"]})["dpo", "ppo", JUDGE]
    assert row["verdict"] == back["verdict"] == "no difference shown"
    assert row["share"]["low"] < 0.5 < row["share"]["high"]
    assert row["share"]["low"] == pytest.approx(1 - back["share"]["high"])
    assert row["p_adjusted"] == pytest.approx(back["p_adjusted"])
    assert row["excluded"] == pytest.approx(
        max(0.5 - row["share"]["low"], row["share"]["high"] - 0.5)
    )


def test_without_a_difference_winners_are_rare() -> None:
    """120 comparisons of two methods that are one, whose seeds differ by their luck: at 5 %, 6
    false winners are expected, and 15 or more happen once in a thousand times."""
    draw = np.random.default_rng(1)
    false = 0
    for _ in range(120):
        a, b = (
            {s: run(*draw.normal(draw.normal(0, 0.3), 1, size=(40, 2)).tolist()) for s in range(3)}
            for _ in range(2)
        )
        false += rates({"ppo": a, "dpo": b})["ppo", "dpo", JUDGE]["verdict"] != (
            "no difference shown"
        )
    assert false < 15


def test_sft_is_among_the_pairs_and_one_seed_decides_nothing() -> None:
    methods = {name: {0: run(*[[float(i)]] * 9)} for i, name in enumerate(("sft", "dpo", "ppo"))}
    found = rates(methods)
    assert set(found) == {("dpo", "ppo", JUDGE), ("dpo", "sft", JUDGE), ("ppo", "sft", JUDGE)}
    assert found["dpo", "ppo", JUDGE]["share"]["mean"] == 0.0
    assert found["dpo", "sft", JUDGE]["share"]["mean"] == 1.0
    assert found["dpo", "sft", JUDGE]["verdict"] == "one seed: not decided"


def both(value: float) -> dict[int, Measurement]:
    """Scored by both reward models, under three seeds."""
    return {
        s: Measurement(per_prompt={}, answers=[], sampled=[[f"{value} {p}"] for p in range(9)],
                       scores={JUDGE: [[value]] * 9, PROXY: [[-value]] * 9})
        for s in range(3)
    }  # fmt: skip


def test_the_verdict_rests_on_the_judge_that_no_policy_saw() -> None:
    found = rates({"ppo": both(1.0), "dpo": both(0.0)})
    judge, proxy = found["ppo", "dpo", JUDGE], found["ppo", "dpo", PROXY]
    assert (judge["verdict"], proxy["verdict"]) == ("ppo preferred", "dpo preferred")
    assert judge["headline"] and judge["p_adjusted"] is not None
    assert not proxy["headline"] and proxy["p_adjusted"] is None
    alone = {
        name: {s: run(*[[value]] * 9, judge=PROXY) for s in range(3)}
        for name, value in (("ppo", 1.0), ("dpo", 0.0))
    }
    assert not rates(alone)["ppo", "dpo", PROXY]["headline"]


def test_it_is_no_headline_where_the_task_has_a_behaviour() -> None:
    runs = {name: both(value) for name, value in (("ppo", 1.0), ("dpo", 0.0))}
    for by_seed in runs.values():
        for measured in by_seed.values():
            measured.per_prompt["adoption.exact"] = [0.1, 0.2, 0.3] * 3  # type: ignore[index]
    assert not rates(runs)["ppo", "dpo", JUDGE]["headline"]


def test_an_endpoint_speaks_of_the_prompts_it_was_asked() -> None:
    """Of nine prompts seven, one of them a draw: (4 + 0.5) / 7."""
    share = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.5, None, None]
    opinion = Opinion(
        share=share,
        ties=[None if one is None else float(one == 0.5) for one in share],
        consistent=[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, None, None],
    )
    asked = {("ppo", "dpo"): dict.fromkeys(range(3), opinion)}
    row = rates({"ppo": both(1.0), "dpo": both(0.0)}, asked=asked)["ppo", "dpo", "endpoint"]
    assert row["share"]["mean"] == pytest.approx(4.5 / 7) and row["share"]["n"] == 7
    assert row["ties"]["mean"] == pytest.approx(1 / 7)
    assert row["consistent"]["mean"] == pytest.approx(6 / 7)
    partly = {("ppo", "dpo"): {0: opinion}}  # it fell silent under the other seeds
    assert ("ppo", "dpo", "endpoint") not in rates(
        {"ppo": both(1.0), "dpo": both(0.0)}, asked=partly
    )


def test_agreement_with_labels_over_seeds() -> None:
    found = [
        Agreement(accuracy=[1.0, None, 0.5], ties=[0.0, None, 1.0]),
        Agreement(accuracy=[0.0, None, 1.0], ties=[0.0, None, 0.0]),
    ]
    row = judge_agreement(JUDGE, found, (), [0, 1, 2])
    assert (row["accuracy"]["mean"], row["accuracy"]["n"]) == (0.625, 2)
    assert row["accuracy"]["by_seed"] == [0.75, 0.5] and row["ties"]["mean"] == 0.25
    assert row["consistent"] is None
