"""What theory says about preference learning: numbers to hold the measurements against.

Plain functions of numbers (natural logarithms, so every divergence is in nats); no torch, so that
the evaluation and the report share one formula.
"""

import math


def binary_kl(a: float, p0: float) -> float:
    """KL divergence of Bernoulli(a) from Bernoulli(p0), in nats.

    This is the adoption floor: no policy can raise an event of probability ``p0`` under the
    reference to ``a`` with less KL than this (data-processing inequality, Cover and Thomas,
    Elements of Information Theory, section 2.8); the tilted optimum of an indicator reward meets
    it.

    Returns:
        At least 0; infinity where ``a`` is impossible under ``p0``.

    Raises:
        ValueError: either argument is no probability.
    """
    if not (0.0 <= a <= 1.0 and 0.0 <= p0 <= 1.0):
        raise ValueError(f"binary_kl takes probabilities, got a={a}, p0={p0}")
    total = 0.0
    for mass, base in ((a, p0), (1.0 - a, 1.0 - p0)):
        if mass == 0.0:
            continue
        if base == 0.0:
            return math.inf
        total += mass * math.log(mass / base)
    return max(total, 0.0)


def tilted_adoption(p0: float, reward: float, beta: float) -> float:
    """Adoption of the optimum pi* = pi_ref exp(r / beta) / Z when r is ``reward`` on the event.

    a* = p0 e^{R/beta} / (1 - p0 + p0 e^{R/beta})   (Rafailov et al. 2023, equation 4).

    Raises:
        ValueError: ``beta`` is not positive or ``p0`` no probability.
    """
    if beta <= 0.0 or not 0.0 <= p0 <= 1.0:
        raise ValueError(f"tilted_adoption needs beta > 0 and p0 in [0, 1], got {beta}, {p0}")
    if p0 in (0.0, 1.0):
        return p0
    log_odds = math.log(p0 / (1.0 - p0)) + reward / beta
    # written so that neither branch can overflow
    return (
        1.0 / (1.0 + math.exp(-log_odds))
        if log_odds >= 0
        else math.exp(log_odds) / (1.0 + math.exp(log_odds))
    )


def best_of_n_adoption(p0: float, n: int) -> float:
    """Adoption when the best of ``n`` samples by the indicator is kept: 1 - (1 - p0)^n."""
    if n < 1 or not 0.0 <= p0 <= 1.0:
        raise ValueError(f"best_of_n_adoption needs n >= 1 and p0 in [0, 1], got {n}, {p0}")
    return float(1.0 - (1.0 - p0) ** n)


# what makes a run collapsed
LOST_SHARE, LEAST_LOSS = 0.5, 0.01  # of SFT's adoption
UNENDED = 0.2  # share of responses
ENDS = 0.5  # of SFT's responses: below it, not ending says nothing of a run
FLOORS, LEAST_FLOOR = 10.0, 1.0  # times; nats

COLLAPSE_RULE = (
    "A run is collapsed if, beyond the noise of the prompts (95 %), it lost half of SFT's adoption "
    f"and at least {LEAST_LOSS}; or {UNENDED:.0%} more of its responses than of SFT's did not "
    "end, where most of SFT's did; or its KL is over ten times what full adoption needs, "
    "log(1/p0) in the mean over prompts and at least 1 nat."
)

# where two methods are compared at equal things
LEVELS = (0.99, 0.95, 0.9, 0.75, 0.5, 0.25, 0.1)  # of adoption
KL_SLACK = 1.1  # times the lower of the two ends

EQUAL_RULE = (
    "Read from the probes, by straight lines between them and never beyond a run's end. At equal "
    "adoption: the highest of "
    f"{', '.join(map(str, LEVELS))} that both reach in every seed, else in at least half of the "
    "seeds; what each had taken when it first passed it. At equal KL: the furthest adoption while "
    f"KL was at most {KL_SLACK} times the lower of the two mean KLs at the end (KL may rise and "
    "fall again, and the slack leaves room for chance). At equal seconds and samples: when the "
    "method that takes fewer had ended, unless the other's own stage had not begun by then; "
    "seconds are after SFT, a sample is a pair or an episode, "
    "and what stages before learned from, as a reward model did, is not counted. "
    "Differences are paired by seed, intervals are Student's t over seeds: they hold training "
    "luck, not the choice of the probe's prompts, which all runs share. p is adjusted over these "
    "rows (Holm 1979)."
)
