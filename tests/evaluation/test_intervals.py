"""Intervals cover what they say, and say nothing of what was not measured."""

import numpy as np
import pytest

from rlhf_compare.evaluation.intervals import estimate, ratio_estimate, verdict


def test_unmeasured_stays_unmeasured() -> None:
    assert estimate(None) is None
    assert ratio_estimate(None, np.ones((1, 3))) is None
    assert ratio_estimate(np.zeros((1, 3)), np.zeros((1, 3))) is None


def test_share_of_all_is_not_certain() -> None:
    """Wilson, 200 of 200: low = 200 / (200 + 1.96^2) = 0.981."""
    entry = estimate(np.ones((1, 200)), share=True)
    assert entry is not None
    assert entry["mean"] == 1.0 and entry["high"] == 1.0
    assert entry["low"] == pytest.approx(200 / (200 + 1.959964**2), abs=1e-6)
    assert (entry["n"], entry["seeds"]) == (200, 1)


def test_number_that_happens_to_be_zero_everywhere_is_no_share() -> None:
    entry = estimate(np.zeros((1, 50)))
    assert entry is not None and entry["low"] == entry["high"] == 0.0


def test_bootstrap_covers_the_mean_about_as_often_as_it_says() -> None:
    draw = np.random.default_rng(1)
    hits = 0
    for _ in range(100):
        entry = estimate(draw.normal(3.0, 2.0, size=(1, 60)))
        assert entry is not None
        hits += entry["low"] <= 3.0 <= entry["high"]
    assert 88 <= hits <= 100


def test_seeds_that_disagree_widen_the_interval() -> None:
    prompts = np.random.default_rng(2).normal(0.0, 0.1, size=200)
    same = estimate(np.stack([prompts, prompts, prompts]))
    apart = estimate(np.stack([prompts - 1.0, prompts, prompts + 1.0]))
    assert same is not None and apart is not None
    assert apart["high"] - apart["low"] > 5 * (same["high"] - same["low"])


def test_ratio_is_paired() -> None:
    """Numerator = half the denominator on every prompt: the ratio has no uncertainty at all."""
    below = np.random.default_rng(3).uniform(1.0, 5.0, size=(1, 100))
    entry = ratio_estimate(below / 2, below)
    assert entry is not None
    assert entry["mean"] == pytest.approx(0.5)
    assert entry["low"] == pytest.approx(0.5) and entry["high"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.1, 0.3, "ppo higher"), (-0.3, -0.1, "dpo higher"), (-0.1, 0.1, "no difference shown")],
)
def test_verdict(low: float, high: float, expected: str) -> None:
    assert verdict({"low": low, "high": high}, "ppo", "dpo") == expected
