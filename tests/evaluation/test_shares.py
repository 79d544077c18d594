"""Intervals of shares, by hand."""

import numpy as np
import pytest
from scipy.stats import chi2

from rlhf_compare.evaluation.random_effects import spread
from rlhf_compare.evaluation.shares import (
    effective_n,
    share_difference_interval,
    share_interval,
)

Z = 1.959963985


def answers(yes: int, of: int, seeds: int = 1) -> np.ndarray:
    return np.tile(np.r_[np.ones(yes), np.zeros(of - yes)], (seeds, 1))


def interval(values: np.ndarray) -> tuple[float, float]:
    low, high = share_interval(values.mean(), spread(values))
    return float(low), float(high)


def test_all_and_none_have_an_interval() -> None:
    """Wilson: 200 of 200 end at 200 / (200 + z^2) = 0.981."""
    assert interval(answers(200, 200)) == pytest.approx((200 / (200 + Z**2), 1.0))
    assert interval(answers(0, 200)) == pytest.approx((0.0, Z**2 / (200 + Z**2)))


def test_answers_that_are_equal_under_every_seed_count_once() -> None:
    """Five seeds with the same 200 answers say no more of the prompts than one."""
    assert interval(answers(200, 200, seeds=5)) == pytest.approx(interval(answers(200, 200)))


def test_one_seed_is_nearly_wilson() -> None:
    """100 of 400, one seed: the t interval's variance is p (1 - p) / 399, and t is 1.966."""
    low, high = interval(answers(100, 400))
    assert (low, high) == pytest.approx((0.2100, 0.2949), abs=5e-4)  # Wilson by scipy


def test_the_lower_limit_of_three_yeses_is_poissons() -> None:
    values = answers(3, 200)
    n = float(effective_n(np.array(0.015 * 0.985), spread(values)))
    assert n == pytest.approx(200, rel=0.02)
    low, _ = interval(values)
    assert low == pytest.approx(chi2.ppf(0.05, 2 * 0.015 * n) / (2 * n))
    assert low < 0.005 < Z**2  # Wilson's would be 0.0051


def test_a_topic_of_equal_answers_counts_once() -> None:
    """20 topics of 10 equal answers, half of them yes: as 20 answers, whose t quantile on 19
    degrees is larger: n = 0.25 / (0.25 / 19 (2.093 / 1.96)^2) = 16.66."""
    values = np.repeat(answers(10, 20), 10, axis=1)
    found = spread(values, np.repeat(np.arange(20), 10))
    assert float(effective_n(np.array(0.25), found)) == pytest.approx(16.66, abs=0.01)


def test_a_difference_without_spread_is_not_certain() -> None:
    """No prompt of 200 differs: one is added on both sides, 2 in 202, so that z times
    sqrt(2 / 202 / 202)."""
    low, high, z = share_difference_interval(
        np.array(0.0), np.array(0.0), spread(np.zeros((1, 200)))
    )
    assert (low, high) == pytest.approx((-Z * np.sqrt(2) / 202, Z * np.sqrt(2) / 202))
    assert z == 0.0


def test_a_difference_of_all_ends_at_one() -> None:
    low, high, z = share_difference_interval(
        np.array(1.0), np.array(0.0), spread(np.ones((3, 200)))
    )
    assert high == 1.0 and 0.96 < low < 0.99 and z > 10
