"""Do 95 % intervals cover 95 %? Simulated worlds whose truth is known.

Seed effects are counted in prompt standard errors: the standard error that the choice of 200
prompts alone gives a mean. For shares, prompts and seeds act on the logit. Every cell must cover
in 93 to 98.5 % of repetitions, and a verdict must name a winner in at most 5 % where none is.
"""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit

from rlhf_compare.evaluation.random_effects import Array, spread
from rlhf_compare.evaluation.shares import share_difference_interval, share_interval

PROMPTS, TOPIC = 200, 5
TOPICS = np.arange(PROMPTS) // TOPIC
SEEDS, EFFECTS = (1, 2, 3, 5, 10), (0, 1, 3, 14)
LEAST, MOST = 0.93, 0.985
CELLS = [(s, k) for s in SEEDS for k in EFFECTS if s > 1 or k == 0]  # one seed: prompts alone
Covered = Callable[[np.random.Generator, int, int, float, float], Array]


def effects(
    draw: np.random.Generator, n: int, seeds: int, k: float, icc: float
) -> tuple[Array, Array]:
    """Standard normal effects of prompts (n, 1, prompts), of which topics hold a share ``icc``, and
    effects of seeds (n, seeds, 1)."""
    topics = np.repeat(draw.normal(size=(n, 1, PROMPTS // TOPIC)), TOPIC, axis=2)
    prompts = np.sqrt(1 - icc) * draw.normal(size=(n, 1, PROMPTS)) + np.sqrt(icc) * topics
    return prompts, draw.normal(size=(n, seeds, 1)) * k / np.sqrt(PROMPTS)


def topics_if(icc: float) -> Array | None:
    return TOPICS if icc else None


def means(noise: float) -> Covered:
    def covered(draw: np.random.Generator, n: int, seeds: int, k: float, icc: float) -> Array:
        prompts, of_seeds = effects(draw, n, seeds, k, icc)
        values = 3.0 + prompts + of_seeds + noise * draw.normal(size=(n, seeds, PROMPTS))
        found = spread(values, topics_if(icc))
        return abs(values.mean(axis=(1, 2)) - 3.0) <= found.half_width()

    return covered


def ratios(draw: np.random.Generator, n: int, seeds: int, k: float, icc: float) -> Array:
    """Efficiency: a floor of 3 nats and a skewed content of 2 nats; seeds change the content. The
    prompts' part of the ratio has a standard deviation of about 0.11, of the content 0.9."""
    prompts, of_seeds = effects(draw, n, seeds, k, icc)
    content = 2.0 * np.exp(0.4 * prompts - 0.08) + 0.9 * of_seeds
    content = content + 0.5 * draw.normal(size=(n, seeds, PROMPTS))
    above = 3.0 + 0.3 * draw.normal(size=(n, 1, PROMPTS)) + np.zeros_like(content)
    below = above + content
    ratio = above.mean(axis=(1, 2)) / below.mean(axis=(1, 2))
    linear = (above - ratio[:, None, None] * below) / below.mean(axis=(1, 2))[:, None, None]
    return abs(ratio - 0.6) <= spread(linear, topics_if(icc)).half_width()


SD = 0.5  # of prompts in the logit


def middle_for(share: float, k: float) -> float:
    """The logit around which prompts and seeds make this share in the mean."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    sd = SD * np.sqrt(1 + k * k / PROMPTS)
    return float(brentq(lambda m: weights @ expit(m + sd * nodes) / weights.sum() - share, -20, 20))


def shares(truth: float) -> Covered:
    def covered(draw: np.random.Generator, n: int, seeds: int, k: float, icc: float) -> Array:
        prompts, of_seeds = effects(draw, n, seeds, k, icc)
        odds = expit(middle_for(truth, k) + SD * (prompts + of_seeds))
        values = (draw.random((n, seeds, PROMPTS)) < odds).astype(float)
        low, high = share_interval(values.mean(axis=(1, 2)), spread(values, topics_if(icc)))
        return (low <= truth) & (truth <= high)

    return covered


def rate(world: Covered, repetitions: int, seeds: int, k: float, icc: float = 0.0) -> float:
    """Share of repetitions that cover, in parts that fit into the cache."""
    draw, part = np.random.default_rng((seeds, int(k), int(10 * icc))), 2_000 // seeds
    parts = -(-repetitions // part)
    return float(np.mean([world(draw, part, seeds, k, icc).mean() for _ in range(parts)]))


WORLDS: dict[str, Covered] = {
    "means": means(1.0),
    "means without noise": means(0.0),
    "means, mostly noise": means(3.0),
    "ratios": ratios,
    **{f"shares of {p}": shares(p) for p in (0.005, 0.05, 0.5, 0.955, 0.995)},
}
# At 0.005 and 0.995 three seeds give 3 answers of the rare kind in the mean, and counts are coarse:
# Wilson's interval with and without its modification, Jeffreys', Agresti and Coull's and the
# logit's cover alike there, in 98.5 to 98.8 %. The excess is on the safe side.
COARSE, COARSE_MOST = {"shares of 0.005", "shares of 0.995"}, 0.99


@pytest.mark.slow
@pytest.mark.parametrize("icc", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("name", WORLDS)
def test_coverage(name: str, icc: float) -> None:
    found = {(s, k): rate(WORLDS[name], 4_000 if s > 1 else 20_000, s, k, icc) for s, k in CELLS}
    wrong = {
        (seeds, k): value
        for (seeds, k), value in found.items()
        if not LEAST <= value <= (COARSE_MOST if name in COARSE and seeds == 3 else MOST)
    }
    assert wrong == {}


@pytest.mark.parametrize("name", ["means", "ratios", "shares of 0.5", "shares of 0.995"])
@pytest.mark.parametrize(("seeds", "k"), [(1, 0), (3, 0), (3, 14)])
def test_coverage_roughly(name: str, seeds: int, k: int) -> None:
    """400 repetitions: the standard error is 1.1 points. A bootstrap covers 74 % in (3, 14)."""
    assert rate(WORLDS[name], 400, seeds, k) >= 0.91


def test_topics_that_count_as_prompts_would_cover_too_rarely() -> None:
    draw = np.random.default_rng(0)
    prompts, _ = effects(draw, 400, 1, 0, 0.5)
    off = abs(prompts.mean(axis=(1, 2)))
    assert (off <= spread(prompts).half_width()).mean() < 0.85
    assert (off <= spread(prompts, TOPICS).half_width()).mean() > 0.91


def false_winners(draw: np.random.Generator, n: int, seeds: int, k: float, metrics: int) -> Array:
    """Which of n comparisons without a difference name a winner in any of the metrics, each with
    seeds and noise of its own, on the same prompts."""
    won = np.zeros(n, bool)
    for _ in range(metrics):
        own = [effects(draw, n, seeds, k, 0.0)[1] for _ in range(2)]
        noise = draw.normal(size=(2, n, seeds, PROMPTS))
        tastes = draw.normal(size=(2, n, 1, PROMPTS)) / np.sqrt(2)  # a method's own, of the prompts
        one, other = (a + b + c for a, b, c in zip(own, noise, tastes, strict=True))
        values = one - other
        won |= abs(values.mean(axis=(1, 2))) > spread(values).half_width(0.05 / metrics)
    return won


@pytest.mark.slow
@pytest.mark.parametrize("metrics", [1, 4])
@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("k", EFFECTS)
def test_false_winners(metrics: int, seeds: int, k: int) -> None:
    """At most 5 % of an exploratory row, and of a pair with four headline metrics, in which Holm's
    first step asks for 0.05 / 4. Where seeds are all, an exploratory row is Student's t test, whose
    rate is 5 %: three standard errors of the simulation are allowed."""
    repetitions, part = (8_000, 500) if metrics == 1 else (2_000, 500)
    draw = np.random.default_rng((metrics, seeds, k))
    parts = [false_winners(draw, part, seeds, k, metrics) for _ in range(repetitions // part)]
    assert np.mean(parts) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / repetitions)


@pytest.mark.parametrize("truth", [0.02, 0.5, 0.995])
def test_false_winners_among_shares(truth: float) -> None:
    """Three seeds whose effects are 3 prompt standard errors."""
    draw, n, middle = np.random.default_rng(0), 1_000, middle_for(truth, 3)
    prompts, _ = effects(draw, n, 3, 0, 0.0)
    odds = [expit(middle + SD * (prompts + effects(draw, n, 3, 3, 0.0)[1])) for _ in range(2)]
    one, other = ((draw.random((n, 3, PROMPTS)) < p).astype(float) for p in odds)
    values = one - other
    more, less = (np.maximum(sign * values, 0.0).mean(axis=(1, 2)) for sign in (1, -1))
    low, high, _ = share_difference_interval(more, less, spread(values))
    assert ((low > 0) | (high < 0)).mean() <= 0.06
