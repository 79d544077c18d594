"""Which methods are compared, in which order, and the paired differences between them."""

from typing import NamedTuple

from rlhf_compare.reporting.method_schema import Estimate
from rlhf_compare.reporting.recipe_facts import variant
from rlhf_compare.reporting.schema import Comparison, Results

SFT = "sft"


class Difference(NamedTuple):
    """A paired difference and its interval."""

    mean: float
    low: float
    high: float


def contenders(results: Results) -> list[str]:
    """The methods other than the SFT model from which all of them start."""
    return [name for name in results.methods if name != SFT]


def main_pair(results: Results) -> tuple[str, str] | None:
    """The pair that was asked about: the first two methods that are no variants. Variants fill the
    places that are left, baselines never do; None where fewer than two methods ran."""
    names = [name for name in contenders(results) if not results.methods[name].baseline]
    ranked = sorted(names, key=lambda name: bool(variant(results, name)))  # stable
    return (ranked[0], ranked[1]) if len(ranked) >= 2 else None


def oriented(row: Comparison, a: str) -> Comparison:
    """The same comparison, its difference taken as `a` minus the other method."""
    if row.a == a:
        return row
    return Comparison(
        metric=row.metric,
        a=row.b,
        b=row.a,
        difference=None if row.difference is None else _negative(row.difference),
        verdict=row.verdict,
    )


def _negative(value: Estimate) -> Estimate:
    return Estimate(
        mean=-value.mean,
        low=None if value.high is None else -value.high,
        high=None if value.low is None else -value.low,
        n=value.n,
        seeds=value.seeds,
        units=value.units,
        by_seed=[None if one is None else -one for one in value.by_seed],
    )


def comparison(results: Results, metric: str, a: str, b: str) -> Comparison | None:
    """The row that compares these two, whichever is its `a`; None where there is none."""
    for row in results.comparisons:
        if row.metric == metric and {row.a, row.b} == {a, b}:
            return row
    return None


def difference(results: Results, metric: str, a: str, b: str) -> Difference | None:
    """The paired a - b; None where it was not measured or has no interval."""
    row = comparison(results, metric, a, b)
    value = None if row is None else oriented(row, a).difference
    if value is None or value.interval is None:
        return None
    return Difference(value.mean, *value.interval)


def ordered(results: Results) -> list[Comparison]:
    """Every comparison: the pair that was asked about, each method less SFT, then the others."""
    pair = set(main_pair(results) or ())

    def rank(row: Comparison) -> int:
        sides = {row.a, row.b}
        return 0 if sides == pair else 1 if SFT in sides else 2

    rows = results.comparisons
    turned = [oriented(row, row.b) if row.a == SFT else row for row in rows]
    return sorted(turned, key=rank)
