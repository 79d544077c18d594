"""Two frontiers at the same drift, by hand numbers."""

import numpy as np
import pytest

from rlhf_compare.frontier.curves import Curve, best_at, compare_curves, won_ranges


def test_a_frontier_is_the_best_so_far_and_linear_between_settings() -> None:
    """The setting at 3 nats is worse than that at 2: with 3 nats nobody need do worse."""
    curve = [(3.0, 0.4), (1.0, 0.2), (2.0, 0.6), (4.0, 0.8)]
    assert best_at(curve, np.array([1.0, 1.5, 3.0, 3.5])).tolist() == pytest.approx(
        [0.2, 0.4, 0.6, 0.7]
    )


def shifted(by: float, *spread: float, tilt: float = 0.0) -> dict[int, Curve]:
    """One curve a seed: 0 at 1 nat to 0.5 at 6, higher by ``by`` and the seed's own spread."""
    return {
        seed: [(kl, 0.1 * (kl - 1.0) + by + more + tilt * (kl - 3.5)) for kl in (1.0, 3.0, 6.0)]
        for seed, more in enumerate(spread)
    }


def test_a_planted_difference_is_found_with_its_interval_over_seeds() -> None:
    """Of by-seed differences 0.1, 0.11, 0.09 the mean is 0.1, the half width 4.303 * 0.01 / √3."""
    found = compare_curves(shifted(0.1, 0.0, 0.01, -0.01), shifted(0.0, 0.0, 0.0, 0.0))
    assert found is not None and found["interval"] is not None
    assert (found["low"], found["high"], found["seeds"]) == (1.0, 6.0, [0, 1, 2])
    assert found["mean"] == pytest.approx(0.1)
    assert found["interval"][1] - 0.1 == pytest.approx(4.3027 * 0.01 / 3**0.5, rel=1e-4)
    assert won_ranges(found["places"], 1) == [(1.0, 6.0)] and won_ranges(found["places"], -1) == []


def test_equal_methods_have_no_winner() -> None:
    """300 worlds in which the two differ by the luck of three seeds alone: 5 % are misses."""
    random, won = np.random.default_rng(0), 0
    for _ in range(300):
        first, second = (shifted(0.0, *random.normal(0.0, 0.02, 3)) for _ in range(2))
        found = compare_curves(first, second)
        assert found is not None
        low, high = found["interval"]
        won += low > 0.0 or high < 0.0
    assert won <= 27  # 15 expected; 27 is over three standard deviations more


def test_below_three_seeds_there_is_no_interval_and_no_range() -> None:
    found = compare_curves(shifted(0.1, 0.0, 0.0), shifted(0.0, 0.0, 0.0))
    assert found is not None and found["interval"] is None
    assert won_ranges(found["places"], 1) == []


def test_curves_that_cross_win_on_their_own_sides() -> None:
    first = shifted(0.0, 0.0, 0.001, -0.001, tilt=0.05)
    found = compare_curves(first, shifted(0.0, 0.0, 0.0, 0.0))
    assert found is not None
    (behind,), (ahead,) = won_ranges(found["places"], -1), won_ranges(found["places"], 1)
    assert behind[0] == 1.0 and ahead[1] == 6.0 and behind[1] < 3.5 < ahead[0]


def test_nothing_is_said_outside_the_range_of_both() -> None:
    first = {seed: [(1.0, 0.1), (4.0, 0.5)] for seed in range(3)}
    second = {seed: [(2.0 + 0.1 * seed, 0.1), (9.0, 0.5)] for seed in range(3)}
    found = compare_curves(first, second)
    assert found is not None and (found["low"], found["high"]) == (2.2, 4.0)
    beyond = {seed: [(5.0, 0.1), (9.0, 0.5)] for seed in range(3)}
    assert compare_curves(first, beyond) is None
    still = {seed: [(1.0, 0.1), (1.0 + 1e-7, 0.5)] for seed in range(3)}
    assert compare_curves(still, still) is None  # policies that did not move
    assert compare_curves(first, {7: [(1.0, 0.1), (4.0, 0.5)]}) is None  # no shared seed
    assert compare_curves(first, {seed: [(2.0, 0.1)] for seed in range(3)}) is None  # one point
