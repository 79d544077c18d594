"""A table of a sweep on the terminal."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rlhf_compare.reporting.escaping import visible


def print_rows(
    title: str, head: Sequence[str], rows: Sequence[Sequence[str]], console: Console
) -> None:
    """Texts go through `rich.text.Text`, which reads no markup; an interval is dropped where the
    page holds it."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in head:
        table.add_column(Text(visible(name, line=True)), justify="right", overflow="fold")
    for row in rows:
        cells = [visible(cell.partition(" [")[0], line=True) for cell in row]
        table.add_row(*map(Text, cells))
    console.print(Text(title, style="bold"))
    console.print(table)
