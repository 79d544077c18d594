"""What the page says of labelled preferences, and what turns each sentence. MADE-UP NUMBERS."""

import pytest

from rlhf_compare.reporting.levels import level
from rlhf_compare.reporting.method_schema import Estimate
from rlhf_compare.reporting.preferred import preferred
from rlhf_compare.reporting.results import ResultsError
from rlhf_compare.reporting.schema import Judge, Results, WinRate
from rlhf_compare.reporting.verdict import verdict
from rlhf_compare.reporting.win_rates import judges_table, win_rate, win_rates_table

from .conftest import changed, compared, estimate, unmeasured

PAIR = ("ppo", "dpo")


def rate(a: str, b: str, share: float, half: float = 0.05, **more: object) -> WinRate:
    """A win rate with the verdict that its interval allows."""
    said = (
        f"{a} preferred" if share - half > 0.5
        else f"{b} preferred" if share + half < 0.5 else "no difference shown"
    )  # fmt: skip
    fields = {"judge": "reward.held_out", "ties": estimate(0.01), "consistent": None, **more}
    return WinRate(**{"a": a, "b": b, "share": estimate(share, half), "verdict": said, **fields})  # type: ignore[arg-type]


def judge(accuracy: float | None, half: float = 0.05, **more: object) -> Judge:
    found = None if accuracy is None else estimate(accuracy, half)
    fields = {"judge": "reward.held_out", "ties": estimate(0.0), "consistent": None, **more}
    return Judge(accuracy=found, **fields)  # type: ignore[arg-type]


@pytest.fixture
def labelled(results: Results) -> Results:
    """A preference task: PPO is preferred to DPO, both to SFT, by a judge that knows something."""
    return changed(
        unmeasured(results, "adoption"),
        {
            "recipe.task": {"name": "preference"},
            "win_rates": [
                rate("ppo", "dpo", 0.62, p_adjusted=0.003, headline=True),
                rate("ppo", "sft", 0.7),
                rate("dpo", "sft", 0.6),
            ],
            "judges": [judge(0.64)],
            "comparisons": [compared("preference.accuracy", "dpo", "ppo", 0.08, 0.02)],
        },
    )


def said(results: Results) -> str:
    return " ".join(preferred(results, PAIR))


def test_the_page_begins_with_whose_answers_are_preferred(labelled: Results) -> None:
    assert verdict(labelled).answer == (
        "PPO's answers are preferred to DPO's in 0.620 [0.570, 0.670] of comparisons, ties 0.010."
    )
    assert (
        "The judge, a reward model that no policy was trained against, orders 0.640 [0.590, 0.690] "
        "of held-out labelled pairs as the labels do." in said(labelled)
    )
    assert "with SFT's answers, PPO's win 0.700 [0.650, 0.750] and DPO's win 0.600" in said(
        labelled
    )
    assert (
        "the policy's own log-ratios to SFT put the preferred response first in 0.700 [0.650, "
        "0.750] with PPO and 0.700 [0.650, 0.750] with DPO (PPO - DPO: -0.080 [-0.100, -0.060]; "
        "DPO higher)." in said(labelled)
    )


def test_a_task_with_a_behaviour_says_none_of_it(labelled: Results) -> None:
    assert preferred(changed(labelled, {"recipe.task": {"name": "prefix"}}), PAIR) == []


def test_the_other_may_be_preferred(labelled: Results) -> None:
    other = changed(labelled, {"win_rates.0": rate("ppo", "dpo", 0.3)})
    assert said(other).startswith("DPO's answers are preferred to PPO's in 0.700 [0.650, 0.750]")
    turned = changed(labelled, {"win_rates.0": rate("dpo", "ppo", 0.3)})
    assert said(turned).startswith("PPO's answers are preferred to DPO's in 0.700 [0.650, 0.750]")


def test_a_method_whose_runs_collapsed_is_preferred_by_nobody(labelled: Results) -> None:
    def runs(collapsed: int) -> Results:
        fallen = {"completed": 3, "failed": 0, "collapsed": collapsed}
        return changed(labelled, {"methods.ppo.runs": fallen})

    assert "but PPO collapsed in 2 of 3 runs: no verdict." in said(runs(2))
    assert "collapsed" not in said(runs(1)).partition(". ")[0]


def test_no_difference_says_what_is_excluded_or_why(labelled: Results) -> None:
    near = changed(labelled, {"win_rates.0": rate("ppo", "dpo", 0.52, excluded=0.07)})
    assert said(near).startswith(
        "No difference shown between PPO's and DPO's answers: PPO's win 0.520 [0.470, 0.570] of "
        "comparisons, ties 0.010 (more than 0.070 away from a draw is excluded)."
    )
    clear = rate("ppo", "dpo", 0.57, verdict="no difference shown", p_adjusted=0.06, excluded=0.12)
    assert "(p = 0.06 after Holm's adjustment)" in said(changed(labelled, {"win_rates.0": clear}))


def test_one_seed_is_no_verdict(labelled: Results) -> None:
    few = rate("ppo", "dpo", 0.62, verdict="one seed: not decided")
    first = preferred(changed(labelled, {"win_rates.0": few}), PAIR)[0]
    assert first.startswith("PPO's answers win 0.620") and first.endswith(
        "of comparisons with DPO's, ties 0.010; one seed: not decided."
    )
    assert "preferred" not in first


@pytest.mark.parametrize("accuracy", [0.54, None])
def test_a_judge_that_guesses_names_nobody(labelled: Results, accuracy: float | None) -> None:
    guessing = preferred(changed(labelled, {"judges": [judge(accuracy)]}), PAIR)
    assert guessing[0].endswith("by a judge that is not shown to know better than a guess: no "
                                "verdict.")  # fmt: skip
    if accuracy is not None:
        assert "is not shown to beat guessing: it orders 0.540 [0.490, 0.590]" in guessing[1]
    else:
        assert guessing[1].endswith("how far it agrees with the labels was not measured.")


def test_who_is_no_better_than_sft_is_told_so(labelled: Results) -> None:
    worse = changed(labelled, {"win_rates.1": rate("ppo", "sft", 0.4)})
    assert preferred(worse, PAIR)[0].endswith("but are not shown to be better than SFT's.")


def test_level_comes_before_difference(labelled: Results) -> None:
    """Neither is shown to be better than SFT, so that is said first."""
    low = {"win_rates.1": rate("ppo", "sft", 0.54), "win_rates.2": rate("dpo", "sft", 0.4)}
    first, second, *_ = preferred(changed(labelled, low), PAIR)
    assert first == (
        "Neither PPO's nor DPO's answers are shown to be preferred to SFT's: of comparisons with "
        "SFT's answers, PPO's win 0.540 [0.490, 0.590] and DPO's win 0.400 [0.350, 0.450]."
    )
    assert second.endswith("but are not shown to be better than SFT's.")
    one = changed(labelled, {"win_rates": [labelled.win_rates[0], rate("ppo", "sft", 0.4)]})
    assert "PPO's answers are not shown to be preferred to SFT's: of comp" in said(one)


@pytest.mark.parametrize(("ties", "words"), [(0.0, "0.000"), (0.0003, "<0.001"), (0.25, "0.250")])
def test_ties_in_three_decimals(labelled: Results, ties: float, words: str) -> None:
    rare = rate("ppo", "dpo", 0.62, ties=estimate(ties, 0.001))
    results = changed(labelled, {"win_rates.0": rare})
    assert f"of comparisons, ties {words}." in said(results)
    assert win_rates_table(results).rows[0][3] == words


def test_without_a_judge_that_says_so(labelled: Results) -> None:
    """The model that PPO was trained against is no judge."""
    own = changed(labelled, {"win_rates": [rate("ppo", "dpo", 0.9, judge="reward.proxy")]})
    assert preferred(own, PAIR) == []  # of an older version: scored, and not compared
    own = unmeasured(own, "reward.held_out")
    assert said(own).startswith("Whether PPO's or DPO's answers are better was not judged")
    assert win_rate(own, "ppo", "dpo") is None
    assert win_rate(own, "dpo", "ppo", "reward.proxy").share.mean == pytest.approx(0.1)  # type: ignore[union-attr]


def test_a_second_judge_speaks_after_the_first(labelled: Results) -> None:
    rates = [*labelled.win_rates, rate("ppo", "dpo", 0.41, judge="endpoint")]
    words = "m at host"
    known = judge(0.7, judge="endpoint", words=words)
    both = changed(labelled, {"win_rates": rates, "judges": [judge(0.64), known]})
    assert (
        "By m at host, which orders 0.700 [0.650, 0.750] of labelled pairs as the labels do, DPO's "
        "answers are preferred to PPO's in 0.590 [0.540, 0.640] of comparisons, ties 0.010."
        in said(both)
    )
    assert "By m at host" not in said(labelled)


def test_the_tables(labelled: Results) -> None:
    rates = [
        rate("dpo", "sft", 0.6),
        rate("ppo", "dpo", 0.5, judge="endpoint", consistent=estimate(0.25, 0.1)),
    ]
    judges = [judge(0.64), judge(None, judge="endpoint", words="m at host", reason="it sleeps")]
    table = win_rates_table(changed(labelled, {"win_rates": rates, "judges": judges}))
    assert [row[0] for row in table.rows] == ["PPO against DPO", "DPO against SFT"]
    assert table.rows[0][1:5] == (
        "m at host", "0.500 [0.450, 0.550]", "0.010", "0.25 [0.15, 0.35]",
    )  # fmt: skip
    assert table.rows[1][4:] == ("-", "DPO preferred", "exploratory")
    table = judges_table(changed(labelled, {"win_rates": [], "judges": judges}))
    assert table.rows[0][1:] == ("0.640 [0.590, 0.690]", "0.000", "-", "64")
    assert table.rows[1][:2] == ("m at host", "not measured")
    assert table.note.endswith("m at host did not judge: it sleeps")


def test_a_win_rate_against_sft_is_a_gain_over_a_draw(labelled: Results) -> None:
    for share, found in ((0.6, "learned"), (0.5, "not shown"), (0.4, "not learned")):
        value = {"methods.ppo.win_rate_vs_sft": estimate(share, 0.05)}
        assert level(changed(labelled, value), "ppo", "win_rate_vs_sft") == found


def test_no_verdict_claims_more_than_its_interval(labelled: Results) -> None:
    narrow = Estimate(mean=0.52, low=0.49, high=0.55, n=9, seeds=3)
    for change, path in (
        ({"share": narrow}, "verdict"),
        ({"verdict": "ppo is best"}, "verdict"),
        ({"b": "ppo", "verdict": "no difference shown"}, ""),
        ({"b": "grpo", "verdict": "no difference shown"}, "b"),
    ):
        broken = rate("ppo", "dpo", 0.62).model_copy(update=change)
        with pytest.raises(ResultsError, match=rf"win_rates\[0\]\.?{path}"):
            changed(labelled, {"win_rates": [broken]})
