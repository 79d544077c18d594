"""Best of n and the predicted optimum, by hand and by identity."""

import math

import pytest

from rlhf_compare.frontier.yardsticks import SAMPLES, best_of_n, optimum, reward_gap
from rlhf_compare.theory import binary_kl


def test_best_of_n_by_hand_is_a_mean_over_prompts() -> None:
    """n = 2: (1 - 0.5²  + 1 - 0.9²) / 2 = (0.75 + 0.19) / 2."""
    found = {one["n"]: one for one in best_of_n([0.5, 0.1])}
    assert found[1]["adoption"] == pytest.approx(0.3) and found[1]["kl_bound"] == 0.0
    assert found[2]["adoption"] == pytest.approx(0.47)
    assert found[2]["kl_bound"] == pytest.approx(math.log(2) - 0.5)


@pytest.mark.parametrize("p0", [0.001, 0.04, 0.3, 0.9])
def test_best_of_n_never_needs_less_than_the_floor(p0: float) -> None:
    for one in best_of_n([p0]):
        assert binary_kl(one["adoption"], p0) <= one["kl_bound"] + 1e-12
    assert len(best_of_n([p0])) == len(SAMPLES)


@pytest.mark.parametrize("beta", [0.2, 0.6, 3.0])
def test_no_adoption_has_a_better_objective_than_the_predicted_one(beta: float) -> None:
    p0, gap = 0.04, 2.0
    found = optimum([p0], gap, beta)

    def objective(adoption: float) -> float:
        return adoption * gap - beta * binary_kl(adoption, p0)

    best = max(objective(step / 1000) for step in range(1, 1000))
    assert objective(found["adoption"]) >= best
    assert found["kl"] == binary_kl(found["adoption"], p0)


def test_the_optimum_is_a_mean_over_prompts() -> None:
    each = [optimum([p0], 1.0, 0.5)["adoption"] for p0 in (0.01, 0.2)]
    found = optimum([0.01, 0.2], 1.0, 0.5)["adoption"]
    assert found == pytest.approx(sum(each) / 2)
    assert found != pytest.approx(optimum([0.105], 1.0, 0.5)["adoption"], abs=0.01)


def test_the_optimum_never_lies_below_the_floor_at_the_mean_base_rate() -> None:
    """The figure's floor is that of the mean p0; a mean over prompts needs at least as much KL."""
    rates = [0.001, 0.03, 0.4]
    for beta in (0.1, 0.5, 2.0):
        found = optimum(rates, 1.0, beta)
        assert found["kl"] >= binary_kl(found["adoption"], sum(rates) / 3) - 1e-12


def test_the_reward_gap_counts_wrong_pairs_negative() -> None:
    """10 pairs of 1 with 8 right: 0.6; 30 of 4, all right: (10 * 0.6 + 30 * 4) / 40."""
    quarters = [
        {"margin": 1.0, "accuracy": 0.8, "pairs": 10},
        {"margin": 4.0, "accuracy": 1.0, "pairs": 30},
    ]
    assert reward_gap(quarters) == pytest.approx(3.15)
    assert reward_gap([]) is None
