"""Means over the elements that count. Padding holds anything, so it is replaced, not multiplied:
0 * NaN is NaN."""

import torch
from torch import Tensor


def masked_sum(values: Tensor, mask: Tensor, dim: int | None = None) -> Tensor:
    """Sum of ``values`` where ``mask`` is true, or not 0, over ``dim`` (None: over everything)."""
    kept = torch.where(mask.bool(), values, torch.zeros_like(values))
    return kept.sum() if dim is None else kept.sum(dim)


def masked_mean(values: Tensor, mask: Tensor, count: Tensor | int | None = None) -> Tensor:
    """Mean of ``values`` where ``mask``: a scalar.

    Args:
        values: any shape.
        mask: same shape, boolean.
        count: divide by this instead of by ``mask.sum()``. A micro-batch passes the number of real
            tokens of its whole optimizer step, so that how a step is cut changes nothing.
    """
    total = mask.sum() if count is None else torch.as_tensor(count, device=values.device)
    return masked_sum(values, mask) / total.clamp(min=1)


def masked_var(values: Tensor, mask: Tensor, unbiased: bool = True) -> Tensor:
    """Variance of ``values`` where ``mask``: a scalar.

    Args:
        unbiased: divide by N - 1, as ``torch.var`` does; False = by N, the population's.
    """
    variance = masked_mean((values - masked_mean(values, mask)) ** 2, mask)
    if not unbiased:
        return variance
    count = mask.sum()
    return variance * count / (count - 1)


def masked_whiten(values: Tensor, mask: Tensor, shift_mean: bool = True) -> Tensor:
    """Scale to unit variance (the population's) over ``mask`` and, by default, remove the mean; 0
    where not ``mask``.

    Args:
        values: any shape.
        mask: same shape, boolean.
        shift_mean: False keeps the mean where it was.
    """
    mean = masked_mean(values, mask)
    whitened = (values - mean) * torch.rsqrt(masked_var(values, mask, unbiased=False) + 1e-8)
    if not shift_mean:
        whitened = whitened + mean
    return torch.where(mask.bool(), whitened, torch.zeros_like(whitened))
