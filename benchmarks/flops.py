"""Floating-point operations of a GPT-2, by hand: a product of (m, k) and (k, n) is 2 m k n.

Matrix products alone: norms, softmax, sampling and Adam are not in a matrix peak either.
"""

from collections.abc import Mapping

from benchmarks.settings import Shape

# A backward multiplies twice per product of its forward: for the weight, and for the input.
BACKWARD = 2


def trunk_flops(shape: Shape, tokens: int, pairs: int) -> int:
    """One forward of the layers.

    Per token and layer: query, key, value (3 w^2), output (w^2), two feed-forward products
    (4 w^2 each), so 12 w^2 multiplications. Per pair of a token and a position it may look at, and
    per layer: one product for the weight of the position (w), one for its value (w).

    Args:
        tokens: positions computed, padding included.
        pairs: tokens times the width of their attention, masked or not.
    """
    return shape.layers * (2 * 12 * shape.width**2 * tokens + 2 * 2 * shape.width * pairs)


def head_flops(shape: Shape, logits: int) -> int:
    """The language-model head on ``logits`` positions."""
    return 2 * shape.width * shape.vocabulary * logits


def forward_flops(shape: Shape, counts: Mapping[str, int]) -> int:
    """Of what a probe counted: ``tokens``, ``pairs``, ``logits``."""
    trunk = trunk_flops(shape, counts.get("tokens", 0), counts.get("pairs", 0))
    return trunk + head_flops(shape, counts.get("logits", 0))


def flops_by_phase(shape: Shape, forwards: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Operations by phase of what a probe counted under ``phase/model/grad`` keys; a forward with a
    gradient brings its backward, charged to the phase ``backward``."""
    phases: dict[str, int] = {}
    for key, counts in forwards.items():
        phase, _, grad = key.split("/")
        work = forward_flops(shape, counts)
        phases[phase] = phases.get(phase, 0) + work
        if grad == "grad":
            phases["backward"] = phases.get("backward", 0) + BACKWARD * work
    return phases
