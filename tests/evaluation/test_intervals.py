"""Estimates and differences, by hand; what was not measured stays so."""

import numpy as np
import pytest
from scipy.stats import t

from rlhf_compare.evaluation.intervals import (
    difference,
    estimate,
    ratio_difference,
    ratio_estimate,
)

VALUES = np.array([[1.0, 2.0, 6.0], [3.0, 8.0, 7.0]])


def test_unmeasured_stays_unmeasured() -> None:
    assert estimate(None) is None
    assert difference(VALUES, None) is None
    assert difference(VALUES, VALUES[:1]) is None
    assert ratio_estimate(None, np.ones((1, 3))) is None
    assert ratio_difference((VALUES, VALUES), (VALUES, None)) is None


def test_an_estimate_holds_its_parts() -> None:
    """Variances 9 / 4 by seeds and 7 / 6 by prompts (test_random_effects)."""
    entry = estimate(VALUES)
    assert entry is not None
    t1, t2 = t.ppf(0.975, 1), t.ppf(0.975, 2)
    half = max((9 / 4 * t1 + 7 / 6 * t2) / np.sqrt(9 / 4 + 7 / 6), 1.5 * t1)
    assert entry["mean"] == 4.5
    assert (entry["low"], entry["high"]) == pytest.approx((4.5 - half, 4.5 + half))
    assert entry["by_seed"] == [3.0, 6.0]
    assert (entry["n"], entry["units"], entry["seeds"]) == (3, 3, 2)


def test_one_unit_has_no_interval() -> None:
    entry = estimate(VALUES, np.zeros(3, int))
    assert entry is not None
    assert (entry["low"], entry["high"], entry["units"]) == (None, None, 1)
    assert difference(VALUES, VALUES * 2, np.zeros(3, int)) is None


def test_share_stays_between_0_and_1() -> None:
    entry = estimate(np.array([[0.9, 1.0], [0.5, 1.0]]), share=True)
    assert entry is not None
    assert 0.0 <= entry["low"] < 0.85 < entry["high"] <= 1.0


def test_what_both_share_cancels() -> None:
    """The methods differ by 1 on every prompt, whatever the prompts and seeds do."""
    entry = difference(VALUES + 1.0, VALUES)
    assert entry is not None
    assert (entry["low"], entry["high"]) == pytest.approx((1.0, 1.0))
    assert entry["by_seed"] == pytest.approx([1.0, 1.0])
    assert entry["p_value"] < 1e-6


def test_p_value_and_interval_agree() -> None:
    draw = np.random.default_rng(4)
    for _ in range(20):
        one, other = draw.normal(0.3, 1.0, size=(2, 3, 40))
        for share in (False, True):
            entry = difference((one > 0).astype(float), (other > 0.5).astype(float), share=share)
            assert entry is not None
            excludes_0 = entry["low"] > 0.0 or entry["high"] < 0.0
            assert excludes_0 is (entry["p_value"] < 0.05)


def test_ratio_is_paired() -> None:
    """Numerator = half the denominator on every prompt: the ratio has no uncertainty at all."""
    below = np.random.default_rng(3).uniform(1.0, 5.0, size=(2, 100))
    entry = ratio_estimate(below / 2, below)
    assert entry is not None
    assert (entry["low"], entry["mean"], entry["high"]) == pytest.approx((0.5, 0.5, 0.5))
    assert entry["by_seed"] == pytest.approx([0.5, 0.5])


def test_ratio_by_the_delta_method() -> None:
    """N = 1, 2, 3 and D = 4, 4, 4: the ratio is 1 / 2, and of the mean of N / 4 the variance is
    (1 / 16) / 3."""
    entry = ratio_estimate(np.array([[1.0, 2.0, 3.0]]), np.full((1, 3), 4.0))
    assert entry is not None
    half = t.ppf(0.975, 2) / 4 / np.sqrt(3)
    assert (entry["mean"], entry["high"]) == pytest.approx((0.5, 0.5 + half))


def test_difference_of_ratios_by_the_delta_method() -> None:
    """The same less N = D: what is linear in the second ratio is 0 on every prompt."""
    first = (np.array([[1.0, 2.0, 3.0]]), np.full((1, 3), 4.0))
    other = np.array([[5.0, 6.0, 5.5]])
    entry = ratio_difference(first, (other, other))
    assert entry is not None
    half = t.ppf(0.975, 2) / 4 / np.sqrt(3)
    assert (entry["mean"], entry["high"]) == pytest.approx((-0.5, -0.5 + half))


@pytest.mark.parametrize("denominator", [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [5.0, -5.0, 0.1]])
def test_no_ratio_over_what_may_be_0(denominator: list[float]) -> None:
    assert ratio_estimate(np.ones((1, 3)), np.array([denominator])) is None
