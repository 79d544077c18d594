"""The machine's fp32 matrix peak, measured with the threads that the runs have."""

import time

import torch

from benchmarks.settings import Shape

_SQUARES = (512, 1024, 2048)
_SECONDS = 0.5  # of repetitions for each size
_TOKENS = 1024  # about the positions of a tiny mini-batch


def gemm_rates(shape: Shape) -> dict[str, float]:
    """FLOP/s: ``peak`` of the best square product, ``model`` of the model's own feed-forward
    product, (tokens, w) by (w, 4 w): what could be had at this width without any overhead."""
    width = shape.width
    return {
        "peak": max(_best_rate(n, n, n) for n in _SQUARES),
        "model": _best_rate(_TOKENS, width, 4 * width),
    }


@torch.no_grad()
def _best_rate(m: int, k: int, n: int) -> float:
    a, b = torch.randn(m, k), torch.randn(k, n)
    out = torch.empty(m, n)
    torch.mm(a, b, out=out)
    best, end = float("inf"), time.perf_counter() + _SECONDS
    while (start := time.perf_counter()) < end:
        torch.mm(a, b, out=out)
        best = min(best, time.perf_counter() - start)
    return 2.0 * m * k * n / best
