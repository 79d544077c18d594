"""Variances and interval widths, by hand."""

import numpy as np
import pytest
from scipy.stats import t

from rlhf_compare.evaluation.random_effects import Spread, spread

T1, T2 = t.ppf(0.975, 1), t.ppf(0.975, 2)


def test_variances_of_a_two_by_three_matrix() -> None:
    """Rows (1, 2, 6) and (3, 8, 7): means 3 and 6. Less their row's mean: (-2, -1, 3), (-3, 2, 1);
    columns -2.5, 0.5, 2; what is left is 0.5, -1.5, 1 and its negative.
    MS of prompts = 2 (6.25 + 0.25 + 4) / 2 = 10.5, of noise = 2 (0.25 + 2.25 + 1) / 2 = 3.5."""
    found = spread(np.array([[1.0, 2.0, 6.0], [3.0, 8.0, 7.0]]))
    assert found.seeds == pytest.approx(4.5 / 2)
    assert found.units == pytest.approx((10.5 - 3.5) / 6)
    assert found.noise == pytest.approx(3.5 / 6)
    assert (found.n_seeds, found.n_units) == (2, 3)


def test_one_seed_is_the_t_interval_over_prompts() -> None:
    """Values 1, 2, 6: variance 7, of the mean 7 / 3."""
    assert spread(np.array([[1.0, 2.0, 6.0]])).half_width() == pytest.approx(T2 * np.sqrt(7 / 3))


def test_a_topic_is_one_draw() -> None:
    """Topics (1, 3) and (8): mean 4, sums of what is over it -4 and 4, times 2 topics / 3 prompts;
    their variance is 2 (8 / 3)^2, of the mean half of that."""
    found = spread(np.array([[1.0, 3.0, 8.0]]), np.array([7, 7, 2]))
    assert found.n_units == 2
    assert found.units == pytest.approx((8 / 3) ** 2)


def test_topics_of_one_prompt_each_change_nothing() -> None:
    values = np.random.default_rng(0).normal(size=(3, 8))
    apart, none = spread(values, np.arange(8)[::-1]), spread(values)
    assert apart.half_width() == pytest.approx(none.half_width())


def test_a_seed_that_shifts_every_prompt_adds_no_noise_to_topics_of_different_size() -> None:
    values = np.array([[1.0, 3.0, 8.0]]) + np.array([[0.0], [100.0]])
    found = spread(values, np.array([0, 0, 1]))
    assert found.noise == pytest.approx(0.0)
    assert found.units == pytest.approx((8 / 3) ** 2)


def spread_of(seeds: float, units: float) -> Spread:
    return Spread(
        seeds=np.array(seeds), units=np.array(units), noise=np.array(0.0), n_seeds=2, n_units=3
    )


def test_each_source_weighs_in_by_its_own_t() -> None:
    """Variances 9 and 16: (9 t1 + 16 t2) / 5; where seeds are all, t1 times their error, and never
    less."""
    assert spread_of(9.0, 0.0).half_width() == pytest.approx(3 * T1)
    assert spread_of(0.0, 16.0).half_width() == pytest.approx(4 * T2)
    assert spread_of(16.0, 9.0).half_width() == pytest.approx(4 * T1)  # above (16 t1 + 9 t2) / 5
    assert spread_of(9.0, 16.0).half_width() == pytest.approx(3 * T1)
    assert spread_of(1.0, 16.0).half_width() == pytest.approx((T1 + 16 * T2) / np.sqrt(17))


@pytest.mark.parametrize("miss", [0.5, 0.05, 1e-4])
def test_p_value_is_where_the_interval_ends(miss: float) -> None:
    found = spread_of(1.0, 4.0)
    assert found.p_value(-float(found.half_width(miss))) == pytest.approx(miss)


def test_no_distance_and_no_spread() -> None:
    assert spread_of(1.0, 4.0).p_value(0.0) == 1.0
    assert spread_of(0.0, 0.0).p_value(0.1) < 1e-12


def test_data_of_one_shape_are_taken_together() -> None:
    values = np.random.default_rng(1).normal(size=(4, 3, 10))
    together = spread(values, np.arange(10) // 2).half_width()
    apart = [float(spread(one, np.arange(10) // 2).half_width()) for one in values]
    assert together == pytest.approx(np.array(apart))
