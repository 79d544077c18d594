"""Means over what counts: by hand, under padding of any content, and under accumulation."""

import math

import pytest
import torch

from rlhf_compare.tensors.masked import masked_mean, masked_sum, masked_var, masked_whiten

VALUES = torch.tensor([[1.0, 2.0, 6.0], [3.0, 8.0, 9.0]])
MASK = torch.tensor([[True, True, False], [True, False, False]])  # counts 1, 2, 3
GARBAGE = pytest.mark.parametrize("garbage", [0.0, 1e30, math.nan, math.inf])


def under_padding(garbage: float) -> torch.Tensor:
    return torch.where(MASK, VALUES, torch.tensor(garbage))


@GARBAGE
def test_by_hand_whatever_is_under_padding(garbage: float) -> None:
    values = under_padding(garbage)
    assert masked_sum(values, MASK).item() == 6.0
    assert masked_sum(values, MASK, dim=1).tolist() == [3.0, 3.0]
    assert masked_mean(values, MASK).item() == 2.0
    assert masked_var(values, MASK, unbiased=False).item() == pytest.approx(2 / 3)


@GARBAGE
def test_whitened_values_by_hand(garbage: float) -> None:
    scale = math.sqrt(1.5)  # one over the deviation of 1, 2, 3
    whitened = masked_whiten(under_padding(garbage), MASK)
    expected = torch.tensor([[-scale, 0.0, 0.0], [scale, 0.0, 0.0]])
    torch.testing.assert_close(whitened, expected)
    shifted = masked_whiten(under_padding(garbage), MASK, shift_mean=False)
    torch.testing.assert_close(shifted, torch.where(MASK, expected + 2.0, 0.0))


def test_whitening_has_zero_mean_and_unit_variance() -> None:
    values = torch.randn(8, 16, generator=torch.Generator().manual_seed(0)) * 5 + 3
    mask = torch.rand(8, 16, generator=torch.Generator().manual_seed(1)) < 0.6
    whitened = masked_whiten(values, mask)
    assert masked_mean(whitened, mask).item() == pytest.approx(0.0, abs=1e-6)
    assert masked_var(whitened, mask, unbiased=False).item() == pytest.approx(1.0, abs=1e-5)
    assert (whitened[~mask] == 0).all()


def test_equal_values_whiten_to_zero() -> None:
    assert masked_whiten(torch.full((2, 3), 7.0), MASK).abs().max().item() == 0.0


def test_nothing_that_counts_has_mean_zero() -> None:
    assert masked_mean(VALUES, torch.zeros_like(MASK)).item() == 0.0


@GARBAGE
def test_the_gradient_under_padding_is_zero(garbage: float) -> None:
    values = under_padding(garbage).requires_grad_()
    masked_mean(values, MASK).backward()
    torch.testing.assert_close(values.grad, MASK / 3)


@pytest.mark.parametrize("cut", [1, 2, 3, 5])
def test_how_a_step_is_cut_into_micro_batches_changes_nothing(cut: int) -> None:
    generator = torch.Generator().manual_seed(2)
    values = torch.randn(7, 5, generator=generator, dtype=torch.float64)
    mask = torch.rand(7, 5, generator=generator) < 0.5
    parts = zip(values.split(cut), mask.split(cut), strict=True)
    total = sum(masked_mean(v, m, count=mask.sum()) for v, m in parts)
    torch.testing.assert_close(total, masked_mean(values, mask))


def test_variance_as_torch_and_trl_take_it() -> None:
    """Bessel's correction by default, masks of numbers too: the calls of TRL's scripts."""
    values, mask = torch.tensor([1.0, 2.0, 4.0, 9.0]), torch.tensor([0.0, 1.0, 1.0, 0.0])
    inside = values[1:3]
    assert masked_mean(values, mask) == inside.mean()
    assert masked_var(values, mask) == inside.var() == 2.0
    assert masked_var(values, mask, unbiased=False) == inside.var(unbiased=False) == 1.0
    torch.testing.assert_close(masked_whiten(values, mask)[1:3], torch.tensor([-1.0, 1.0]))
