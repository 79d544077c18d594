"""The side-by-side table in 80 columns."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rlhf_compare.reporting.applicable import left_out_note
from rlhf_compare.reporting.escaping import visible
from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.numbers import Cell
from rlhf_compare.reporting.reward_checks import doctor_table
from rlhf_compare.reporting.schema import Results, RewardModel
from rlhf_compare.reporting.tables import chosen_methods, side_by_side
from rlhf_compare.reporting.verdict import verdict

_VERDICT_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red", "n/a": "dim"}
_LABEL_WIDTH, _CELL_WIDTH = 26, 17  # columns, padding included: three methods fit in 80


def print_table(
    results: Results,
    methods: Sequence[str] | None = None,
    console: Console | None = None,
) -> None:
    """Print every metric for `methods`; all of them, with the verdict below, by default.

    Every text goes through `rich.text.Text`, which reads no markup, after its hidden characters
    were made visible, so that no name or answer can colour the terminal or move its cursor.

    Raises:
        ValueError: a name in `methods` is not in the results; the message lists those that are.
    """
    console = console or Console()
    names = chosen_methods(results, methods)
    per_table = max(1, (console.width - _LABEL_WIDTH) // _CELL_WIDTH)
    console.print(_text(f"{results.recipe.name}: {_device(results)}"), style="bold")
    for start in range(0, len(names), per_table):
        console.print(_table(results, names[start : start + per_table]))
    console.print(_text(f"Brackets hold 95 % intervals. {left_out_note(results)}"), style="dim")
    if methods is None:
        console.print()
        found = verdict(results)
        console.print(_text(found.answer), style="bold")
        for bullet in found.bullets:
            console.print(_text(f"- {bullet}"))
        console.print(_text(" ".join(found.rest)))


def print_doctor(model: RewardModel, console: Console | None = None) -> None:
    """Print what the doctor found in one reward model, with the same care for its texts."""
    console = console or Console()
    found = doctor_table([model])
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for title in found.header:
        table.add_column(title)
    for label, value, verdict_, sentence in found.rows:
        style = _VERDICT_STYLES.get(verdict_, "")
        mean, _, interval = value.partition(" ")
        table.add_row(
            _text(label),
            _text(mean) if not interval else Text(f"{mean}\n{interval}"),
            Text(verdict_, style=style),
            _text(sentence),
        )
    console.print(_text(f"reward model, seed {model.seed}"), style="bold")
    console.print(table)
    console.print(_text(found.note), style="dim")


def _device(results: Results) -> str:
    seeds = results.provenance.seeds
    return f"{results.provenance.device.name}, {len(seeds)} seed{'s' if len(seeds) > 1 else ''}"


def _text(line: str) -> Text:
    return Text(visible(line, line=True))


def _table(results: Results, names: list[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    alone = len(names) == 1
    table.add_column("")
    for name in names:
        table.add_column(_text(label_of(results, name)), justify="right", no_wrap=True)
    if alone:
        table.add_column("", style="dim")
    for row in side_by_side(results, names):
        if row.starts_group:
            table.add_section()
        unit = f"{row.unit}, {row.better} is better" if row.better else row.unit
        cells = [_cell(cell, " " if alone else "\n") for cell in row.cells]
        if alone:
            table.add_row(_text(row.label), *cells, _text(unit))
        else:
            table.add_row(Text.assemble(row.label, "\n", (unit, "dim")), *cells)
    return table


def _cell(cell: Cell, separator: str) -> Text:
    """The mean and its interval; on two lines where three methods must fit in 80 columns."""
    if not cell.measured:
        return Text(cell.mean, style="dim italic")
    return Text.assemble(cell.mean, (separator + cell.interval if cell.interval else "", "dim"))
