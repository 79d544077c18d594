"""How far a machine's roundings move the numbers. MADE-UP NUMBERS."""

import pytest

from benchmarks.rounding import BASE, WAYS, as_markdown, moved, parse


def test_a_move_is_told_from_the_spread_over_seeds() -> None:
    """Two seeds 2 apart, of which one moves by 0.1 and the other by 0.3."""
    key = ("ppo", "kl_to_reference.exact")
    found = moved({key: [4.0, 6.0]}, {key: [4.1, 6.3]})["ppo"]["kl_to_reference.exact"]
    assert found["alike"] == pytest.approx(0.2)
    assert found["largest"] == pytest.approx(0.3)
    assert found["sd_over_seeds"] == pytest.approx(2.0**0.5)
    row = "| PPO, kl_to_reference.exact | 0.2 | 0.3 | 1.4 |"
    assert row in as_markdown({"ppo": {"kl_to_reference.exact": found}}, list(WAYS)[1])


def test_moves_that_cancel_are_not_alike() -> None:
    key = ("dpo", "adoption.exact")
    found = moved({key: [0.5, 0.6]}, {key: [0.6, 0.5]})["dpo"]["adoption.exact"]
    assert found["alike"] == pytest.approx(0.0)
    assert found["largest"] == pytest.approx(0.1)


def test_one_seed_or_a_seed_that_failed_has_no_row() -> None:
    key = ("ppo", "adoption.exact")
    assert moved({key: [0.5]}, {key: [0.6]}) == {}
    assert moved({key: [0.5, 0.6]}, {key: [0.6]}) == {}
    assert moved({key: [0.5, 0.6]}, {}) == {}


def test_the_first_way_is_what_the_others_are_held_against() -> None:
    assert next(iter(WAYS)) == BASE and len(WAYS) == 3
    assert parse(["ppo.total_episodes=64"]).overrides == ["ppo.total_episodes=64"]
