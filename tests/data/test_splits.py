"""The side a prompt lives on depends on the prompt alone."""

import math

import numpy as np
import pytest

from rlhf_compare.data.config import DataConfig
from rlhf_compare.data.selection import RowIndex, choose_sides
from rlhf_compare.data.splits import is_held_out, normalise, split_hash


def held(key: str, share: float) -> bool:
    return bool(is_held_out(split_hash(key), share))


def test_case_and_white_space_make_no_other_prompt() -> None:
    assert normalise("  What\tIS \n rain? ") == "what is rain?"
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        assert held("What is rain?", share) == is_held_out(split_hash("  what is\nRAIN? "), share)


@pytest.mark.parametrize(
    ("key", "place"),
    [("photosynthesis", 0.1207), ("What is rain?", 0.7477), ("machine learning", 0.2373)],
)
def test_the_hash_never_changes(key: str, place: float) -> None:
    """Written down, so that no release moves a published run's evaluation prompts."""
    assert not held(key, place - 1e-4)
    assert held(key, place + 1e-4)


@pytest.mark.parametrize(
    ("share", "held_out"),
    [(0.1, ()), (0.2, ("photosynthesis",)), (0.3, ("photosynthesis", "machine learning"))],
)
def test_preparing_draws_the_sides_so(share: float, held_out: tuple[str, ...]) -> None:
    groups = ("photosynthesis", "What is rain?", "machine learning")
    keys = np.array([split_hash(group) for group in groups], np.uint64)
    zeros, ones = np.zeros(3, np.uint8), np.arange(3, dtype=np.uint64)
    index = RowIndex(zeros, ones, keys, ones, ones, ones, zeros.copy())
    choose_sides(index, DataConfig(eval_share=share), ())
    assert tuple(np.array(groups)[index.held_out]) == held_out
    assert index.held_out.tolist() == is_held_out(keys, share).tolist()


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_the_share_is_kept(share: float) -> None:
    count = sum(held(f"prompt {i}", share) for i in range(10_000))
    assert abs(count - 10_000 * share) < 4 * math.sqrt(10_000 * share * (1 - share))


def test_a_larger_share_moves_no_prompt_back() -> None:
    keys = [f"prompt {i}" for i in range(1000)]
    assert {k for k in keys if held(k, 0.1)} < {k for k in keys if held(k, 0.2)}
