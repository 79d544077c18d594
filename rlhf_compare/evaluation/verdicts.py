"""What a difference between two methods says: who is higher, or that the data do not tell.

A comparison row is ``{"metric", "a", "b", "difference", "verdict", "headline", "p_value",
"p_adjusted", "excluded"}``:

headline    True = a metric that the comparison was made for, of the pair that was asked about: its
            p-value is adjusted (Holm 1979). Every other row is exploratory: among twenty such rows
            without a difference one names a winner.
p_value     two-sided, of the difference; None below three seeds
p_adjusted  the same after Holm's adjustment over the pair's headline rows; None where exploratory
excluded    in "no difference shown": a larger difference than this, in either direction, lies
            outside the 95 % interval; else None
"""

from collections.abc import Sequence
from typing import Any

LEAST_SEEDS = 3
NO_DIFFERENCE = "no difference shown"
NOT_DECIDED = ("one seed: not decided", "two seeds: not decided")
_LEVEL = 0.05


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values (Holm 1979): the chance of any false winner among them stays below
    the level, whatever binds the metrics together."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def decide(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Complete rows of one pair by their verdicts.

    Args:
        rows: ``metric``, ``a``, ``b``, ``difference`` (with its ``p_value``) and ``headline``.
    """
    tested = [row for row in rows if row["headline"] and _enough_seeds(row)]
    adjusted = holm([row["difference"]["p_value"] for row in tested])
    by_metric = {row["metric"]: p for row, p in zip(tested, adjusted, strict=True)}
    return [_decided(row, by_metric.get(row["metric"])) for row in rows]


def _decided(row: dict[str, Any], p_adjusted: float | None) -> dict[str, Any]:
    difference = {key: value for key, value in row["difference"].items() if key != "p_value"}
    p_value = row["difference"]["p_value"] if _enough_seeds(row) else None
    verdict = _verdict(row, difference, p_adjusted)
    excluded = max(abs(difference["low"]), abs(difference["high"]))
    return {
        **row,
        "difference": difference,
        "verdict": verdict,
        "p_value": p_value,
        "p_adjusted": p_adjusted,
        "excluded": excluded if verdict == NO_DIFFERENCE else None,
    }


def _verdict(row: dict[str, Any], difference: dict[str, Any], p_adjusted: float | None) -> str:
    """A winner needs seeds, an interval without 0, and in a headline the adjusted p-value."""
    if not _enough_seeds(row):
        return NOT_DECIDED[difference["seeds"] - 1]
    if p_adjusted is not None and p_adjusted > _LEVEL:
        return NO_DIFFERENCE
    if difference["low"] > 0:
        return f"{row['a']} higher"
    return f"{row['b']} higher" if difference["high"] < 0 else NO_DIFFERENCE


def _enough_seeds(row: dict[str, Any]) -> bool:
    return bool(row["difference"]["seeds"] >= LEAST_SEEDS)
