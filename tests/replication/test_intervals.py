"""Intervals of a difference between seeds that were not the same."""

import math

import numpy as np
import pytest
from scipy.stats import ttest_ind

from rlhf_compare.replication.intervals import half_width, of_estimates, p_value, welch
from rlhf_compare.reporting.method_schema import Estimate
from tests.reporting.conftest import estimate


def test_welch_by_hand_and_by_scipy() -> None:
    before, fresh = [1.0, 2.0, 3.0], [2.0, 4.0, 6.0, 8.0]
    found = welch(before, fresh)
    assert found is not None
    # variances 1 and 20/3 of 3 and 4 seeds: 1/3 and 5/3
    assert found[0] == pytest.approx(math.sqrt(2.0))
    assert found[1] == pytest.approx(4.0 / ((1 / 9) / 2 + (25 / 9) / 3))
    theirs = ttest_ind(before, fresh, equal_var=False)
    ends = theirs.confidence_interval(0.95)
    assert half_width(*found) == pytest.approx((ends.high - ends.low) / 2)
    assert p_value(3.0, *found) == pytest.approx(theirs.pvalue)


def test_sides_without_any_spread_have_no_error() -> None:
    assert welch([1.0, 1.0, 1.0], [2.0, 2.0, 2.0]) is None
    assert welch([1.0, 1.0, 1.0], [2.0, 2.0, 2.1]) is not None


def test_welch_covers_the_truth_with_unequal_spreads() -> None:
    """3 seeds against 5, one side three times as wide; +-1.5 points are three standard errors."""
    random = np.random.default_rng(0)
    missed = 0
    for _ in range(2000):
        before, fresh = random.normal(0, 1, 3), random.normal(0, 3, 5)
        found = welch(before.tolist(), fresh.tolist())
        assert found is not None
        missed += abs(before.mean() - fresh.mean()) > half_width(*found)
    assert 0.035 <= missed / 2000 <= 0.065


def test_two_intervals_make_one_of_the_difference() -> None:
    before = Estimate(mean=10.0, low=8.0, high=13.0, n=9, seeds=3)
    fresh = Estimate(mean=4.0, low=3.0, high=6.0, n=9, seeds=3)
    ends = of_estimates(before, fresh)
    assert ends == pytest.approx((6.0 - math.sqrt(8.0), 6.0 + math.sqrt(10.0)))
    assert of_estimates(before, estimate(4.0)) is None
