"""Tables and origins, which the pages of all sweeps share."""

from collections.abc import Iterable, Sequence
from typing import Any

from rlhf_compare.metrics import BY_PATH
from rlhf_compare.reporting.escaping import escape_markdown
from rlhf_compare.reporting.numbers import format_value
from rlhf_compare.sweeps.points import Origin, Point

EFFICIENCY = "kl_to_reference.efficiency"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; every cell is escaped."""
    lines = [list(map(str, head)), ["---"] * len(head)]
    lines += [[escape_markdown(str(cell)) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def metric_cell(point: Point, path: str) -> str:
    """A metric of a point with its interval."""
    if path == EFFICIENCY and point.metrics.get(path) is None and point.efficiency is not None:
        return str(format_value(point.efficiency, BY_PATH[path].style))
    return str(format_value(point.metrics.get(path), BY_PATH[path].style))


def runs_words(point: Point) -> str:
    """``2 of 3; 1 collapsed``: how many seeds were completed, and how they ended."""
    runs = point.runs
    text = f"{runs.completed} of {runs.completed + runs.failed}"
    return f"{text}; {runs.collapsed} collapsed" if runs.collapsed else text


def seconds_text(seconds: float | None) -> str:
    return "" if seconds is None else str(format_value(seconds, "seconds"))


def origin_table(origin: Origin) -> str:
    """Command, commit and what else makes the numbers anew."""
    dirty = {True: ", with changes that are not committed", False: "", None: ""}[origin.dirty]
    rows = [
        ("command", origin.command),
        ("commit", f"{origin.commit or 'none: no checkout'}{dirty}"),
        ("seeds", " ".join(map(str, origin.seeds))),
        ("prompts", f"{origin.prompts} of the side {origin.prompt_side}"),
        ("device", origin.device),
        ("made", origin.created),
    ]
    return table(("", ""), rows)
