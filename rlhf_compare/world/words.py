"""Words and tables that the sections of the oracle's page share."""

from collections.abc import Iterable, Sequence
from typing import Any


def spread(values: Sequence[float]) -> str:
    """``1.10 to 1.13``, the least and the largest; one number where they read alike."""
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


def count(number: int, noun: str) -> str:
    """``1 world``, ``3 worlds``."""
    return f"{number} {noun}{'s' if number != 1 else ''}"


def listed(numbers: Iterable[Any]) -> str:
    """``1, 2, 3``."""
    return ", ".join(map(str, numbers))


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
