"""Values of the results as text: rounded, with their interval."""

import math
from dataclasses import dataclass

from rlhf_compare.metrics import Style
from rlhf_compare.reporting.method_schema import Estimate

NOT_MEASURED = "not measured"
DOES_NOT_APPLY = "does not apply"
_MOST = 3  # decimals of any number
_SHORT_WORDS = ("best",)  # no acronyms, though short


@dataclass(frozen=True)
class Cell:
    """A formatted value; `interval` is empty where there is none."""

    mean: str
    interval: str = ""

    @property
    def measured(self) -> bool:
        return self.mean not in (NOT_MEASURED, DOES_NOT_APPLY)

    def __str__(self) -> str:
        return f"{self.mean} {self.interval}" if self.interval else self.mean


def display_name(method: str) -> str:
    """`ppo` is printed PPO, `dpo_chapter` DPO chapter, `best_of_n` best of n."""
    first, *rest = method.split("_")
    acronym = len(first) <= 4 and first not in _SHORT_WORDS
    return " ".join([first.upper() if acronym else first, *rest])


def _digits(scale: float) -> int:
    return 0 if scale >= 1000 else 1 if scale >= 100 else 2 if scale >= 1 else 3


def _left_by(low: float, high: float) -> int:
    """Decimals that an interval leaves: its half-width keeps two significant digits, and whole
    numbers stay whole. Further digits of the mean would change from one set of seeds to the next.
    """
    half = (high - low) / 2
    return max(0, 1 - math.floor(math.log10(half))) if half > 0 else _MOST + 1


def format_numbers(values: list[float], style: Style) -> list[str]:
    """A mean, or a mean with both ends of its interval, with the same number of decimals: never
    more than the interval leaves (see :func:`_left_by`), nor than three. A mean does not round to
    zero unless its interval says no more of it."""
    if style == "count":
        return [f"{value:,.0f}" for value in values]
    if style == "mebibytes":
        values = [value / 2**20 for value in values]
    scale = max(abs(value) for value in values)
    digits = {
        "share": 3,
        "number": _digits(scale),
        "seconds": 0 if scale >= 1000 else 1,
        "mebibytes": 0 if scale >= 10 else 1,
    }[style]
    left = _left_by(*values[1:]) if len(values) == 3 else _MOST + 1
    if left <= digits:
        digits = left
    elif values[0] != 0 and abs(values[0]) < 0.5 * 10.0**-digits:
        if style == "seconds":
            return ["<0.1" for _ in values]  # an order of magnitude of almost nothing says nothing
        return [f"{value + 0.0:.1e}" for value in values]  # -0.0 + 0.0 is 0.0
    texts = [f"{value:,.{digits}f}" for value in values]
    return [t.lstrip("-") if not t.strip("-0.") else t for t in texts]  # no "-0.000"


def format_value(value: Estimate | float | None, style: Style) -> Cell:
    """An estimate, a plain number or None as a table cell."""
    if value is None:
        return Cell(NOT_MEASURED)
    if not isinstance(value, Estimate):
        return Cell(format_numbers([value], style)[0])
    if value.interval is None:
        return Cell(format_numbers([value.mean], style)[0])
    mean, low, high = format_numbers([value.mean, *value.interval], style)
    return Cell(mean, f"[{low}, {high}]")
