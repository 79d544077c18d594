"""The side a prompt lives on depends on the prompt alone."""

import math

import pytest

from rlhf_compare.data.splits import is_held_out, normalise, place_of


def held(key: str, share: float) -> bool:
    return bool(is_held_out(place_of(key), share))


def test_case_and_white_space_make_no_other_prompt() -> None:
    assert normalise("  What\tIS \n rain? ") == "what is rain?"
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        assert held("What is rain?", share) == is_held_out(place_of("  what is\nRAIN? "), share)


@pytest.mark.parametrize(
    ("key", "place"),
    [("photosynthesis", 0.1207), ("What is rain?", 0.7477), ("machine learning", 0.2373)],
)
def test_the_hash_never_changes(key: str, place: float) -> None:
    """Written down, so that no release moves a published run's evaluation prompts."""
    assert not held(key, place - 1e-4)
    assert held(key, place + 1e-4)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_the_share_is_kept(share: float) -> None:
    count = sum(held(f"prompt {i}", share) for i in range(10_000))
    assert abs(count - 10_000 * share) < 4 * math.sqrt(10_000 * share * (1 - share))


def test_a_larger_share_moves_no_prompt_back() -> None:
    keys = [f"prompt {i}" for i in range(1000)]
    assert {k for k in keys if held(k, 0.1)} < {k for k in keys if held(k, 0.2)}
