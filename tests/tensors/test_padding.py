"""Padding is told by length, never by id."""

import pytest
import torch

from rlhf_compare.tensors.padding import last_true, pad_sequences, positions, to_the_left


def test_left_and_right() -> None:
    ids, mask = pad_sequences([[1, 2, 3], [4]], pad_id=9, side="left")
    assert ids.tolist() == [[1, 2, 3], [9, 9, 4]]
    assert mask.tolist() == [[True, True, True], [False, False, True]]
    ids, mask = pad_sequences([[1, 2, 3], [4]], pad_id=9, side="right")
    assert ids.tolist() == [[1, 2, 3], [4, 9, 9]]
    assert mask.tolist() == [[True, True, True], [True, False, False]]
    assert ids.dtype == torch.long and mask.dtype == torch.bool


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_real_token_with_the_pad_id_counts(side: str) -> None:
    ids, mask = pad_sequences([[5, 9, 9], [9]], pad_id=9, side=side)  # type: ignore[arg-type]
    assert mask.sum(1).tolist() == [3, 1]
    assert [row[keep].tolist() for row, keep in zip(ids, mask, strict=True)] == [[5, 9, 9], [9]]


@pytest.mark.parametrize("side", ["left", "right"])
def test_empty_sequences(side: str) -> None:
    ids, mask = pad_sequences([[], [7]], pad_id=0, side=side)  # type: ignore[arg-type]
    assert ids.tolist() == [[0], [7]] and mask.tolist() == [[False], [True]]
    ids, mask = pad_sequences([[]], pad_id=0, side=side)  # type: ignore[arg-type]
    assert ids.shape == (1, 1) and not mask.any()


def test_positions_count_real_tokens_alone() -> None:
    mask = torch.tensor([[0, 0, 1, 1, 1, 0], [1, 1, 1, 1, 0, 0]], dtype=torch.bool)
    assert positions(mask)[mask].tolist() == [0, 1, 2, 0, 1, 2, 3]
    assert positions(mask)[0, :2].tolist() == [0, 0]


def test_last_true_on_either_side_and_with_holes() -> None:
    mask = torch.tensor([[0, 1, 1, 0], [1, 0, 1, 1], [1, 0, 0, 0]], dtype=torch.bool)
    assert last_true(mask).tolist() == [2, 3, 0]


def test_a_row_without_a_real_token_has_no_last_one() -> None:
    with pytest.raises(ValueError, match="without a single real token"):
        last_true(torch.tensor([[True], [False]]))


def test_real_tokens_move_to_the_left_in_their_order() -> None:
    ids = torch.tensor([[9, 9, 1, 2, 3, 9], [4, 5, 6, 7, 9, 9], [9, 9, 9, 9, 9, 8]])
    mask = torch.tensor([[0, 0, 1, 1, 1, 0], [1, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1]]).bool()
    moved, real = to_the_left(ids, mask)
    assert moved.shape == real.shape == (3, 4)
    assert [row[keep].tolist() for row, keep in zip(moved, real, strict=True)] == [
        [1, 2, 3], [4, 5, 6, 7], [8]
    ]  # fmt: skip
    assert real.tolist() == [[True, True, True, False], [True] * 4, [True, False, False, False]]
