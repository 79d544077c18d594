"""Values of the results as text: looked up by path, rounded, with their interval."""

from dataclasses import dataclass
from typing import Any

from rlhf_compare.metrics import BY_PATH, Metric, Style

NOT_MEASURED = "not measured"
NO_DIFFERENCE = "no difference shown"
NOT_DECIDED = ("one seed: not decided", "two seeds: not decided")
DOES_NOT_APPLY = "does not apply"
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


def value_of(method: dict[str, Any], path: str) -> Any:
    """The value at a dotted path, or None as soon as the path meets a null; None for a metric that
    the results are too old to have."""
    value: Any = method
    for key in path.split("."):
        if value is None:
            return None
        value = value.get(key) if path in BY_PATH else value[key]
    return value


def mean_of(method: dict[str, Any], path: str) -> float | None:
    """The mean of the estimate at `path`, or None where it was not measured."""
    value = value_of(method, path)
    return None if value is None else float(value["mean"] if isinstance(value, dict) else value)


def _digits(scale: float) -> int:
    return 0 if scale >= 1000 else 1 if scale >= 100 else 2 if scale >= 1 else 3


def format_numbers(values: list[float], style: Style) -> list[str]:
    """A mean and its interval with the same number of decimals; a mean never rounds to zero."""
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
    if values[0] != 0 and abs(values[0]) < 0.5 * 10.0**-digits:
        if style == "seconds":
            return ["<0.1" for _ in values]  # an order of magnitude of almost nothing says nothing
        return [f"{value + 0.0:.1e}" for value in values]  # -0.0 + 0.0 is 0.0
    texts = [f"{value:,.{digits}f}" for value in values]
    return [t.lstrip("-") if not t.strip("-0.") else t for t in texts]  # no "-0.000"


def format_value(value: Any, style: Style) -> Cell:
    """An estimate, a plain number or None as a table cell."""
    if value is None:
        return Cell(NOT_MEASURED)
    if not isinstance(value, dict):
        return Cell(format_numbers([value], style)[0])
    if value["low"] is None:
        return Cell(format_numbers([value["mean"]], style)[0])
    mean, low, high = format_numbers([value["mean"], value["low"], value["high"]], style)
    return Cell(mean, f"[{low}, {high}]")


def cell_of(method: dict[str, Any], metric: Metric) -> Cell:
    """The cell of one method in this metric's row."""
    value = metric.derive(method) if metric.derive else value_of(method, metric.path)
    return format_value(value, metric.style)
