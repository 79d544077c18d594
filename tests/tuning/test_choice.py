"""The rule of choice: each condition flips it."""

import pytest

from rlhf_compare.recipe_text.sweeps import TuningConfig
from rlhf_compare.sweeps.points import Point
from rlhf_compare.tuning.choice import choose, edges, rule
from tests.sweeps.points import point

CONFIG = TuningConfig(grids={"dpo": {"beta": (1.0, 2.0, 3.0)}}, kl_budget=10.0, adoption=0.95)


def at(beta: float, adoption: float, kl: float, **more: float) -> Point:
    return point("dpo", {"beta": beta}, adoption, kl, **more)


def chosen(*points: Point, behaviour: bool = True) -> float:
    found, _ = choose(points, CONFIG, behaviour)
    assert found is not None
    return float(found.values["beta"])


def test_of_those_that_adopt_the_most_efficient_wins() -> None:
    """0.96 at 4 nats has efficiency 0.5, 0.99 at 5 nats 0.4."""
    assert chosen(at(1.0, 0.96, 4.0), at(2.0, 0.99, 5.0)) == 1.0
    assert chosen(at(1.0, 0.96, 4.0), at(2.0, 0.99, 5.0, floor=3.0)) == 2.0  # 0.6


def test_adoption_below_the_asked_one_loses_to_it_and_else_the_furthest_wins() -> None:
    assert chosen(at(1.0, 0.94, 2.1), at(2.0, 0.95, 8.0)) == 2.0
    assert chosen(at(1.0, 0.94, 9.0), at(2.0, 0.93, 2.1)) == 1.0


def test_beyond_the_budget_nothing_wins_but_the_lowest_kl() -> None:
    assert chosen(at(1.0, 0.99, 10.1, floor=9.0), at(2.0, 0.50, 9.9)) == 2.0
    assert chosen(at(1.0, 0.99, 12.0), at(2.0, 0.50, 11.0)) == 2.0
    _, why = choose([at(1.0, 0.99, 12.0)], CONFIG, True)
    assert why.startswith("no setting is within 10 nats")


@pytest.mark.parametrize("fault", ["failed", "collapsed"])
def test_failed_and_collapsed_settings_lose(fault: str) -> None:
    good, best = at(1.0, 0.95, 9.0), at(2.0, 0.99, 3.0)
    assert chosen(good, best) == 2.0
    assert chosen(good, at(2.0, 0.99, 3.0, **{fault: 1})) == 1.0
    found, why = choose([at(2.0, 0.99, 3.0, **{fault: 1})], CONFIG, True)
    assert found is None and "without collapse" in why


def test_without_a_behaviour_the_judge_chooses_within_the_budget() -> None:
    low, high = at(1.0, 0.99, 3.0, reward__held_out=1.0), at(2.0, 0.0, 9.0, reward__held_out=2.0)
    assert chosen(low, high, behaviour=False) == 2.0
    beyond = at(2.0, 0.0, 11.0, reward__held_out=2.0)
    assert chosen(low, beyond, behaviour=False) == 1.0
    assert "judge" in rule(CONFIG, False) and "efficiency" in rule(CONFIG, True)


def test_of_equal_ones_the_lowest_kl_wins() -> None:
    assert chosen(at(1.0, 0.9, 4.0), at(2.0, 0.9, 3.0)) == 2.0


def test_a_choice_at_the_edge_of_the_grid_is_said() -> None:
    points = [at(beta, 0.96, 4.0) for beta in (1.0, 2.0, 3.0)]
    assert edges(points[1], points) == []
    assert edges(points[0], points)[0].startswith("Its beta 1 is the lowest that was tried")
    assert "highest" in edges(points[2], points)[0]
    assert edges(points[0], points[:1]) == []  # one value is no grid
