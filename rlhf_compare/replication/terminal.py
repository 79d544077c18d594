"""The numbers of a replication in 80 columns."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rlhf_compare.replication.page import numbers
from rlhf_compare.replication.results import Change
from rlhf_compare.reporting.escaping import visible


def print_changes(changes: Sequence[Change], side: str, console: Console) -> None:
    """Each number with its interval below it.

    Args:
        side: what ``before`` is called.
    """
    head, lines = numbers(changes, side)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("")
    for name in head[2:5]:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    last = ""
    for change, (of, _, *cells, _, _) in zip(changes, lines, strict=True):
        if last and of != last:
            table.add_section()
        last = of
        label = Text.assemble(_line(of), "\n", (_line(change.what), "dim"))
        table.add_row(label, *map(_cell, cells), change.kind)
    console.print(table)


def _cell(text: str) -> Text:
    mean, bracket, interval = _line(text).partition(" [")
    return Text.assemble(mean, ("\n[" + interval, "dim")) if bracket else Text(mean)


def _line(text: str) -> str:
    return visible(text, line=True)
