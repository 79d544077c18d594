"""Which methods are compared, in which order, and the paired differences between them."""

from typing import Any

from rlhf_compare.reporting.recipe_facts import variant

SFT = "sft"


def contenders(results: dict[str, Any]) -> list[str]:
    """The methods other than the SFT model from which all of them start."""
    return [name for name in results["methods"] if name != SFT]


def main_pair(results: dict[str, Any]) -> tuple[str, str] | None:
    """The pair that was asked about: the first two methods that are no variants. Variants fill the
    places that are left; None where fewer than two methods ran."""
    names = contenders(results)
    ranked = sorted(names, key=lambda name: bool(variant(results, name)))  # stable
    return (ranked[0], ranked[1]) if len(ranked) >= 2 else None


def oriented(row: dict[str, Any], a: str) -> dict[str, Any]:
    """The same comparison, its difference taken as `a` minus the other method."""
    if row["a"] == a:
        return row
    turned = {**row, "a": row["b"], "b": row["a"]}
    value = row["difference"]
    if value is not None:
        low, high = value["low"], value["high"]
        turned["difference"] = {
            **value,
            "mean": -value["mean"],
            "low": None if high is None else -high,
            "high": None if low is None else -low,
        }
    return turned


def comparison(results: dict[str, Any], metric: str, a: str, b: str) -> dict[str, Any] | None:
    """The row that compares these two, whichever is its `a`; None where there is none."""
    for row in results["comparisons"]:
        if row["metric"] == metric and {row["a"], row["b"]} == {a, b}:
            return dict(row)
    return None


def difference(results: dict[str, Any], metric: str, a: str, b: str) -> dict[str, Any] | None:
    """The paired estimate of a - b; None where it was not measured or has no interval."""
    row = comparison(results, metric, a, b)
    value = None if row is None else oriented(row, a)["difference"]
    return None if value is None or value["low"] is None else value


def ordered(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Every comparison: the pair that was asked about, each method less SFT, then the others."""
    pair = set(main_pair(results) or ())

    def rank(row: dict[str, Any]) -> int:
        sides = {row["a"], row["b"]}
        return 0 if sides == pair else 1 if SFT in sides else 2

    rows = results["comparisons"]
    turned = [oriented(row, row["b"]) if row["a"] == SFT else row for row in rows]
    return sorted(turned, key=rank)
