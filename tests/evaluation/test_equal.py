"""Two methods at equal things. Curves and answers by hand."""

from typing import Any

import pytest
from scipy.stats import ttest_1samp

from rlhf_compare.evaluation.equal import (
    Curve,
    at,
    best_within,
    common_level,
    curve_of,
    equal_rows,
    passing,
    place_of,
)


def test_a_level_is_first_passed_between_two_probes() -> None:
    assert passing([0.0, 0.4, 0.8], 0.6) == pytest.approx(1.5)
    assert passing([0.0, 0.8, 0.2, 0.9], 0.6) == pytest.approx(0.75)  # the first time
    assert passing([0.7, 0.8], 0.6) == 0.0
    assert passing([0.0, 0.5], 0.6) is None  # never: nothing is read beyond the end


def test_a_clock_stands_before_its_start_and_after_its_end() -> None:
    clock = [10.0, 20.0, 40.0]
    assert [place_of(clock, moment) for moment in (5.0, 15.0, 30.0, 99.0)] == [0.0, 0.5, 1.5, 2.0]
    assert at([0.1, 0.3, 0.9], 1.5) == pytest.approx(0.6)


def test_the_best_within_a_budget_of_a_drift_that_rises_and_falls() -> None:
    adoption, kl = [0.0, 0.6, 0.9, 0.8], [0.0, 4.0, 8.0, 5.0]
    assert best_within(adoption, kl, 6.0) == pytest.approx(0.9 - 0.1 * 2 / 3)  # on the way down
    assert best_within(adoption, kl, 4.5) == pytest.approx(0.6 + 0.3 / 8)  # on the way up
    assert best_within(adoption, kl, 9.0) == 0.9
    assert best_within(adoption[1:], kl[1:], 1.0) is None


@pytest.mark.parametrize(
    ("first", "second", "level"),
    [
        ([0.96, 0.97], [0.99, 0.999], 0.95),
        ([0.94, 0.97], [0.99, 0.999], 0.9),  # in every seed before in half of them
        ([0.04, 0.97], [0.99, 0.999], 0.95),  # none in every seed: in half of them
        ([0.97, 0.04], [0.04, 0.99], None),  # never both in one seed
        ([0.06, 0.06], [0.99, 0.99], None),
    ],
)
def test_the_level_is_one_that_both_reach(
    first: list[float], second: list[float], level: float | None
) -> None:
    assert common_level([[[0.04, end] for end in side] for side in (first, second)]) == level
    assert common_level([[[0.5, 0.6]], [[0.5, 0.6]]]) is None  # where SFT stands already


# PPO reaches 0.9 late and far, at 30 s and 60 episodes; DPO at 8 s and 80 pairs, and ends there
def ppo(kl: float = 6.0) -> Curve:
    return Curve(
        adoption=[0.0, 0.9, 1.0],
        kl=[0.0, kl, 4.0],
        seconds=[20.0, 30.0, 50.0],
        samples=[0.0, 60.0, 120.0],
    )


def dpo(kl: float = 4.0) -> Curve:
    return Curve(
        adoption=[0.0, 0.45, 0.9], kl=[0.0, 1.0, kl], seconds=[2.0, 5.0, 8.0], samples=[0, 40, 80]
    )


def rows_of(
    first: dict[int, Curve], second: dict[int, Curve]
) -> dict[tuple[str, str], dict[str, Any]]:
    rows = equal_rows({"ppo": first, "dpo": second}, ("ppo", "dpo"))
    return {(row["at"], row["quantity"]): row for row in rows}


def test_two_curves_at_equal_things() -> None:
    rows = rows_of({0: ppo()}, {0: dpo()})
    found = {
        key: (row["level"], *(v[0] for v in row["by_seed"].values())) for key, row in rows.items()
    }
    expected = {
        ("adoption", "kl"): (0.9, 6.0, 4.0),
        ("adoption", "seconds"): (0.9, 30.0, 8.0),
        ("adoption", "samples"): (0.9, 60.0, 80.0),
        # 1.1 times 4 nats, the end of both: PPO came back to them
        ("kl", "adoption"): (4.4, 1.0, 0.9),
        # when DPO had ended, PPO's reward model was not ready: PPO had not begun
        ("seconds", "adoption"): (8.0, None, 0.9),
        ("seconds", "kl"): (8.0, None, 4.0),
        # at 80 samples PPO is a third of the way from 60 to 120
        ("samples", "adoption"): (80.0, 0.9 + 0.1 / 3, 0.9),
        ("samples", "kl"): (80.0, 6.0 - 2.0 / 3, 4.0),
    }
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        assert found[key] == pytest.approx(values), key
    late = [row for (at, _), row in rows.items() if at == "seconds"]
    others = [row for row in rows.values() if row not in late]
    assert {row["verdict"] for row in late} == {"one had not begun"}
    assert {row["verdict"] for row in others} == {"one seed: not decided"}
    assert all(row["difference"]["low"] is None for row in others)


def test_the_interval_is_students_over_the_seeds() -> None:
    kls = [5.0, 6.0, 7.0, 6.5]
    first = {seed: ppo(kl) for seed, kl in enumerate(kls)}
    second = {seed: dpo() for seed in range(5)}  # seed 4 has no partner
    row = rows_of(first, second)["adoption", "kl"]
    assert row["seeds"] == [0, 1, 2, 3]
    test = ttest_1samp([kl - 4.0 for kl in kls], 0.0)
    low, high = test.confidence_interval(0.95)
    found = row["difference"]
    assert (found["mean"], found["seeds"]) == (pytest.approx(2.125), 4)
    assert [found[key] for key in ("low", "high", "p_value")] == pytest.approx(
        [low, high, test.pvalue]
    )
    assert row["verdict"] == "ppo higher" and row["p_adjusted"] > found["p_value"]
    # differences of 1 and of -1 show none
    undecided = {seed: ppo(3.0 + 2.0 * (seed % 2)) for seed in range(4)}
    assert rows_of(undecided, second)["adoption", "kl"]["verdict"] == "no difference shown"


def test_two_seeds_decide_nothing() -> None:
    rows = rows_of({0: ppo(), 1: ppo(7.0)}, {0: dpo(), 1: dpo()})
    begun = [row for (at, _), row in rows.items() if at != "seconds"]  # PPO had not, by then
    assert {row["verdict"] for row in begun} == {"two seeds: not decided"}


def test_a_run_that_never_comes_there_is_counted_and_not_extrapolated() -> None:
    stuck = Curve(adoption=[0.0, 0.02], kl=[0.0, 0.1], seconds=[2.0, 8.0], samples=[0, 80])
    second = {0: dpo(), 1: stuck, 2: dpo(), 3: dpo(4.5)}
    row = rows_of({seed: ppo() for seed in range(4)}, second)["adoption", "kl"]
    assert row["level"] == 0.9
    assert row["by_seed"]["dpo"] == [4.0, None, 4.0, 4.5] and None not in row["by_seed"]["ppo"]
    assert row["difference"]["seeds"] == 3
    assert row["difference"]["mean"] == pytest.approx(6.0 - 12.5 / 3)


def test_what_was_not_measured_has_no_row() -> None:
    blind = Curve(adoption=None, kl=[0.0, 3.0], seconds=[1.0, 9.0], samples=None)
    assert set(rows_of({0: blind}, {0: blind})) == {("seconds", "kl")}
    assert rows_of({0: ppo()}, {1: dpo()}) == {}  # no seed in common
    assert equal_rows({"ppo": {0: ppo()}}, ("ppo", "dpo")) == []


def test_a_curve_is_read_from_a_training_run() -> None:
    points = [
        {"step": 0, "adoption_exact": 0.1, "kl_exact": 0.0, "seconds": 1.0, "samples": 0},
        {"step": 2, "adoption_exact": 0.5, "kl_exact": 2.0, "seconds": 4.0, "samples": 16},
        {"step": 3, "held_out_loss": 0.5},  # no probe
    ]
    run = {"seed": 0, "before": {"sft": 40.0, "reward": 9.0}, "points": points}
    curve = curve_of(run)
    assert curve is not None
    # SFT is left out: both paths share it
    assert (curve.seconds, curve.adoption, curve.samples) == ([10.0, 13.0], [0.1, 0.5], [0.0, 16.0])
    assert curve_of({**run, "points": points[1:]}) is None  # of an older log, without a start
    del points[1]["seconds"]
    curve = curve_of(run)
    assert curve is not None and curve.seconds is None and curve.kl == [0.0, 2.0]
