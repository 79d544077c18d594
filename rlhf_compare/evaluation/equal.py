"""Two methods at equal things: how they compare at one adoption, one KL, one time, one number of
samples, read from what the probe saw while they trained.

Between two probes a curve is a straight line; beyond its last probe nothing is read from it but
the end itself, where the run has stopped. The rules, each stated on the page:

adoption  the highest of ``LEVELS`` that both methods reach in every seed, else in at least half of
          the seeds; what each had taken when it *first* passed it
kl        ``KL_SLACK`` times the lower of the two mean KLs at the end, so that a run which ends a
          little above it by chance counts as there; the *furthest* adoption while KL was at most
          that: the best checkpoint within the budget, for KL may rise and fall again
seconds   when the cheaper method had ended, in each seed at its own time; None where the other
          one's own stage had not begun by then, whose stages before it took longer
samples   when the method with fewer samples had ended, in each seed at its own number

A difference is paired by seed. Its interval is Student's t over the seeds (degrees of freedom: the
seeds less one), so it holds training luck; the probe's prompts are the same for all, and their
choice is in no interval. Below three seeds there is none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student_t

from rlhf_compare.evaluation.verdicts import LEAST_SEEDS, NO_DIFFERENCE, NOT_DECIDED, holm
from rlhf_compare.theory import KL_SLACK, LEVELS

_LEVEL = 0.05
Values = Sequence[float]
BySeed = list[float | None]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One run's probes in their order, the first of them the SFT model; all of one length, and None
    where it was not measured.

    adoption  exact, a probability
    kl        nats per response
    seconds   device seconds up to the probe: of the method's own stage and of the stages before it
              but SFT, evaluations left out; never falling
    samples   up to the probe; never falling
    """

    adoption: Values | None
    kl: Values | None
    seconds: Values | None
    samples: Values | None

    def of(self, quantity: str) -> Values | None:
        """One of the four."""
        values: Values | None = getattr(self, quantity)
        return values


Curves = Mapping[int, Curve]  # of one method, by seed


def curve_of(run: Mapping[str, Any]) -> Curve | None:
    """The curve of one entry of a method's ``training`` in results.json; None where it does not
    say where the run began."""
    points = [point for point in run["points"] if "kl_exact" in point or "adoption_exact" in point]
    if len(points) < 2 or points[0]["step"] != 0:
        return None

    def of(name: str) -> list[float] | None:
        values = [point.get(name) for point in points]
        return None if None in values else [float(value) for value in values]

    seconds = of("seconds")
    earlier = sum(spent for stage, spent in run["before"].items() if stage != "sft")
    return Curve(
        adoption=of("adoption_exact"),
        kl=of("kl_exact"),
        seconds=None if seconds is None else [earlier + value for value in seconds],
        samples=of("samples"),
    )


def passing(values: Values, level: float) -> float | None:
    """Where a curve first reaches ``level`` from below, as a place: 1.5 = halfway between its
    second and its third point. None = it never does."""
    for index, value in enumerate(values):
        if value >= level:
            if index == 0:
                return 0.0
            before = values[index - 1]
            return index - 1 + (level - before) / (value - before)
    return None


def place_of(clock: Values, moment: float) -> float:
    """Where a clock that never falls shows ``moment``; the first place before it started, the last
    place after it stopped."""
    return float(np.interp(moment, clock, np.arange(len(clock))))


def at(values: Values, place: float) -> float:
    """What a curve shows at a place."""
    return float(np.interp(place, np.arange(len(values)), values))


def best_within(values: Values, limits: Values, limit: float) -> float | None:
    """The highest value along the curve while its ``limits`` are at most ``limit``; None = never.

    On a stretch between two points both are straight lines, so that the highest value lies at an
    end of the stretch or where ``limits`` passes ``limit``.
    """
    allowed = [value for value, used in zip(values, limits, strict=True) if used <= limit]
    for index in range(len(values) - 1):
        low, high = limits[index], limits[index + 1]
        if (low <= limit) != (high <= limit):
            allowed.append(at(values, index + (limit - low) / (high - low)))
    return max(allowed, default=None)


def common_level(methods: Sequence[Sequence[Values]]) -> float | None:
    """The level of adoption at which methods are compared: see the module's rules.

    Args:
        methods: of each, the adoption curve of every seed, in one order of seeds.
    """
    curves = [curve for method in methods for curve in method]
    if not curves:
        return None
    seeds, start = len(methods[0]), max(curve[0] for curve in curves)
    for share in (1.0, 0.5):
        for level in LEVELS:
            together = sum(
                all(max(curve) >= level for curve in one) for one in zip(*methods, strict=True)
            )
            if level > start and together >= max(1.0, share * seeds):
                return level
    return None


def equal_rows(methods: Mapping[str, Curves], pair: tuple[str, str]) -> list[dict[str, Any]]:
    """The comparisons of a pair at equal things, over the seeds that the two share.

    Returns:
        rows ``{"at", "level", "quantity", "a", "b", "seeds", "by_seed", "difference", "verdict",
        "p_adjusted"}``: ``by_seed`` holds each method's numbers in the order of ``seeds``, None
        where a run never came there; ``difference`` is a less b over the seeds in which both did.
        A row whose quantities were not measured is left out. p_adjusted is Holm's, over all rows.
    """
    first, second = (methods.get(name, {}) for name in pair)
    seeds = sorted(set(first) & set(second))
    if not seeds:
        return []
    sides = ([first[seed] for seed in seeds], [second[seed] for seed in seeds])
    rows = []
    for at_what, read in (
        ("adoption", _at_adoption),
        ("kl", _at_kl),
        ("seconds", lambda *both: _at_end(*both, clock="seconds")),
        ("samples", lambda *both: _at_end(*both, clock="samples")),
    ):
        for level, quantity, one, other in read(*sides):
            rows.append(
                {
                    "at": at_what,
                    "level": level,
                    "quantity": quantity,
                    "a": pair[0],
                    "b": pair[1],
                    "seeds": seeds,
                    "by_seed": {pair[0]: one, pair[1]: other},
                    "difference": _difference(one, other),
                }
            )
    return _decided(rows)


Side = Sequence[Curve]  # one method, seed by seed
Found = list[tuple[float, str, BySeed, BySeed]]


def _measured(quantity: str, *sides: Side) -> list[list[Values]] | None:
    """One quantity of every run of every side; None where a run has none."""
    found = [[curve.of(quantity) for curve in side] for side in sides]
    complete = [[values for values in side if values] for side in found]
    return complete if [*map(len, complete)] == [*map(len, found)] else None


def _at_adoption(first: Side, second: Side) -> Found:
    adoption = _measured("adoption", first, second)
    level = None if adoption is None else common_level(adoption)
    if adoption is None or level is None:
        return []
    rows: Found = []
    for quantity in ("kl", "seconds", "samples"):
        values = _measured(quantity, first, second)
        if values is not None:
            one, other = (
                [
                    None if (place := passing(up, level)) is None else at(taken, place)
                    for up, taken in zip(*side, strict=True)
                ]
                for side in zip(adoption, values, strict=True)
            )
            rows.append((level, quantity, one, other))
    return rows


def _at_kl(first: Side, second: Side) -> Found:
    adoption, kl = (_measured(name, first, second) for name in ("adoption", "kl"))
    if adoption is None or kl is None:
        return []
    ends = (float(np.mean([curve[-1] for curve in side])) for side in kl)
    level = KL_SLACK * max(0.0, min(ends))  # a policy that did not move is at 0 but for rounding
    one, other = (
        [best_within(up, drift, level) for up, drift in zip(*side, strict=True)]
        for side in zip(adoption, kl, strict=True)
    )
    return [(level, "adoption", one, other)]


def _at_end(first: Side, second: Side, *, clock: str) -> Found:
    clocks = _measured(clock, first, second)
    if clocks is None:
        return []
    ends = min(([curve[-1] for curve in side] for side in clocks), key=np.mean)
    rows: Found = []
    for quantity in ("adoption", "kl"):
        values = _measured(quantity, first, second)
        if values is not None:
            one, other = (
                # a run whose own stage had not begun is the SFT model still: nothing of it to judge
                [
                    at(v, place_of(c, end)) if end > c[0] else None
                    for v, c, end in zip(*side, ends, strict=True)
                ]
                for side in zip(values, clocks, strict=True)
            )
            rows.append((float(np.mean(ends)), quantity, [*one], [*other]))
    return rows


def _difference(first: BySeed, second: BySeed) -> dict[str, Any] | None:
    """Paired, over the seeds in which both have a number."""
    both = [a - b for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    if not both:
        return None
    n, mean = len(both), float(np.mean(both))
    if n < LEAST_SEEDS:
        return {"mean": mean, "low": None, "high": None, "seeds": n, "p_value": None}
    error = float(np.std(both, ddof=1)) / n**0.5
    half = float(student_t.ppf(0.975, n - 1)) * error
    p_value = 1.0 if mean == 0.0 else 0.0
    if error > 0.0:
        p_value = float(2 * student_t.sf(abs(mean) / error, n - 1))
    return {"mean": mean, "low": mean - half, "high": mean + half, "seeds": n, "p_value": p_value}


def _decided(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    tested = [
        row for row in rows if row["difference"] and row["difference"]["seeds"] >= LEAST_SEEDS
    ]
    adjusted = iter(holm([row["difference"]["p_value"] for row in tested]))
    for row in rows:
        difference, p_adjusted = row["difference"], None
        if difference is None:
            begun = row["at"] != "seconds"
            verdict = "not reached by both in any seed" if begun else "one had not begun"
        elif difference["seeds"] < LEAST_SEEDS:
            verdict = NOT_DECIDED[difference["seeds"] - 1]
        else:
            p_adjusted, verdict = next(adjusted), NO_DIFFERENCE
            if p_adjusted <= _LEVEL:
                verdict = f"{row['a'] if difference['mean'] > 0 else row['b']} higher"
        row |= {"verdict": verdict, "p_adjusted": p_adjusted}
    return rows
