"""Closed forms, by numbers worked out by hand and by brute force on small distributions."""

import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf_compare.theory import best_of_n_adoption, binary_kl, tilted_adoption

probabilities = st.floats(1e-6, 1 - 1e-6)


def kl(policy: list[float], reference: list[float]) -> float:
    """Plain definition."""
    pairs = zip(policy, reference, strict=True)
    return sum(p * math.log(p / q) for p, q in pairs if p > 0)


def normalised(weights: list[float]) -> list[float]:
    return [w / sum(weights) for w in weights]


@pytest.mark.parametrize(("p0", "nats"), [(1e-2, 4.605), (1e-3, 6.908), (1e-4, 9.210)])
def test_full_adoption_costs_the_surprise_of_the_base_rate(p0: float, nats: float) -> None:
    assert binary_kl(1.0, p0) == pytest.approx(nats, abs=5e-4)
    assert binary_kl(1.0, p0) == pytest.approx(-math.log(p0), rel=1e-12)


def test_binary_kl_by_hand() -> None:
    # 0.5 log(0.5 / 0.25) + 0.5 log(0.5 / 0.75) = 0.5 log(4 / 3)
    assert binary_kl(0.5, 0.25) == pytest.approx(0.5 * math.log(4 / 3), rel=1e-12)
    assert binary_kl(0.0, 0.25) == pytest.approx(math.log(4 / 3), rel=1e-12)


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_binary_kl_of_a_distribution_with_itself_is_zero(p: float) -> None:
    assert binary_kl(p, p) == 0.0


@pytest.mark.parametrize(("a", "p0"), [(0.1, 0.0), (0.9, 1.0)])
def test_an_impossible_event_costs_infinity(a: float, p0: float) -> None:
    assert binary_kl(a, p0) == math.inf


@pytest.mark.parametrize(("a", "p0"), [(-0.1, 0.5), (1.1, 0.5), (0.5, 2.0), (math.nan, 0.5)])
def test_binary_kl_refuses_what_is_no_probability(a: float, p0: float) -> None:
    with pytest.raises(ValueError, match="probabilities"):
        binary_kl(a, p0)


@given(weights=st.lists(st.tuples(probabilities, probabilities), min_size=2, max_size=6))
def test_no_policy_is_below_the_floor(weights: list[tuple[float, float]]) -> None:
    policy = normalised([w for w, _ in weights])
    reference = normalised([w for _, w in weights])
    floor = binary_kl(min(policy[0], 1.0), min(reference[0], 1.0))
    assert kl(policy, reference) >= floor - 1e-9


@pytest.mark.parametrize(("p0", "adoption"), [(1e-3, 0.027), (1e-2, 0.22)])
def test_tilted_adoption_at_beta_03_and_reward_1(p0: float, adoption: float) -> None:
    assert tilted_adoption(p0, reward=1.0, beta=0.3) == pytest.approx(adoption, abs=0.003)


@given(p0=probabilities, reward=st.floats(-5, 5), beta=st.floats(0.05, 5))
def test_tilted_optimum_gains_exactly_beta_log_z(p0: float, reward: float, beta: float) -> None:
    """J(pi*) = R a* - beta KL(pi*||pi_ref) = beta log Z: reward, KL and beta in one line."""
    a = tilted_adoption(p0, reward, beta)
    log_z = math.log1p(p0 * math.expm1(reward / beta))
    objective = reward * a - beta * binary_kl(a, p0)
    assert objective == pytest.approx(beta * log_z, rel=1e-6, abs=1e-9)


def test_tilted_adoption_does_not_overflow() -> None:
    assert tilted_adoption(0.5, 1e6, 1e-3) == 1.0
    assert tilted_adoption(0.5, -1e6, 1e-3) == 0.0
    assert tilted_adoption(0.0, 5.0, 0.1) == 0.0
    assert tilted_adoption(1.0, -5.0, 0.1) == 1.0


@pytest.mark.parametrize(("p0", "beta"), [(0.5, 0.0), (0.5, -1.0), (1.5, 0.3), (math.nan, 0.3)])
def test_tilted_adoption_refuses(p0: float, beta: float) -> None:
    with pytest.raises(ValueError, match="tilted_adoption"):
        tilted_adoption(p0, 1.0, beta)


def best_of_n(reference: list[float], n: int) -> list[float]:
    """Distribution of the kept sample, outcome 0 being the event: the first sample that is the
    event is kept, or the first of all; every outcome of n draws is enumerated."""
    kept = [0.0] * len(reference)
    for draws in product(range(len(reference)), repeat=n):
        kept[0 if 0 in draws else draws[0]] += math.prod(reference[d] for d in draws)
    return kept


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("reference", [[0.1, 0.9], [0.05, 0.25, 0.7], [0.5, 0.2, 0.2, 0.1]])
def test_best_of_n_lies_on_the_floor(reference: list[float], n: int) -> None:
    policy = best_of_n(reference, n)
    adoption = best_of_n_adoption(reference[0], n)
    assert policy[0] == pytest.approx(adoption, rel=1e-12)
    assert kl(policy, reference) == pytest.approx(binary_kl(adoption, reference[0]), abs=1e-12)


@given(p0=probabilities, n=st.integers(1, 200))
def test_the_textbook_kl_of_best_of_n_is_an_upper_bound(p0: float, n: int) -> None:
    textbook = math.log(n) - (n - 1) / n
    assert binary_kl(best_of_n_adoption(p0, n), p0) <= textbook + 1e-6


@pytest.mark.parametrize(("p0", "n"), [(0.5, 0), (1.5, 2), (-0.1, 2)])
def test_best_of_n_adoption_refuses(p0: float, n: int) -> None:
    with pytest.raises(ValueError, match="best_of_n_adoption"):
        best_of_n_adoption(p0, n)
