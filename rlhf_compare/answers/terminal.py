"""Answers side by side on a terminal; a line each where there is none.

Questions and answers are hostile: each text goes through `visible` before it is printed, and
through `rich.text.Text`, which reads no markup.
"""

from collections.abc import Callable, Sequence
from itertools import groupby

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rlhf_compare.answers.answer import Answer, Asked
from rlhf_compare.metrics import Style
from rlhf_compare.reporting.answers import shown
from rlhf_compare.reporting.escaping import visible
from rlhf_compare.reporting.numbers import format_numbers

_NOTHING = "-"
_MARK = "bold green"


def print_asked(asked: Asked, console: Console) -> None:
    """Print one question with its answers, a table a seed."""
    if not console.is_terminal:
        for line in _lines(asked):
            console.print(Text(line), soft_wrap=True)
        return
    console.print(Text(visible(asked.question)), style="bold")
    groups = [(seed, list(some)) for seed, some in groupby(asked.answers, lambda a: a.seed)]
    for seed, answers in groups:
        if len(groups) > 1:
            console.print(Text(f"seed {seed}"), style="dim")
        console.print(_texts(asked, answers))
        console.print(_numbers(asked, answers))


def _texts(asked: Asked, answers: Sequence[Answer]) -> Table:
    """Who said what, the marker picked out."""
    table = Table(box=box.SIMPLE_HEAD, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True, style="bold")
    table.add_column("", overflow="fold", ratio=1)
    for answer in answers:
        table.add_row(Text(visible(answer.label, line=True)), _text(asked, answer))
    return table


def _text(asked: Asked, answer: Answer) -> Text:
    found = shown(answer.text)
    text = Text(visible(found.text))
    if answer.opens_with_marker and asked.marker:
        blank = found.text[: len(found.text) - len(found.text.lstrip())]
        start = len(visible(blank))  # a carriage return is shown as eight characters
        text.stylize(_MARK, start, start + len(asked.marker))
    if not answer.ended:
        text.append(" [cut]", style="dim")
    if found.note:
        text.append(f" {found.note}".lstrip(), style="dim italic")
    return text


def _numbers(asked: Asked, answers: Sequence[Answer]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("")
    columns = [column for column in _columns(asked) if any(column.said(a) for a in answers)]
    for column in columns:
        table.add_column(Text(column.title.replace(", ", ",\n")), justify="right")
    for answer in answers:
        cells = [Text(column.said(answer) or _NOTHING) for column in columns]
        table.add_row(Text(visible(answer.label, line=True)), *cells)
    return table


class _Column:
    """A number of each answer: its title, and what is said of one answer, empty for nothing."""

    def __init__(self, title: str, said: Callable[[Answer], str]) -> None:
        self.title, self.said = title, said


def _columns(asked: Asked) -> list[_Column]:
    columns = []
    if asked.marker is not None:
        title = f"{visible(asked.marker, line=True)!r}"
        columns = [
            _Column(title, lambda a: "yes" if a.opens_with_marker else "no"),
            _Column("adoption, exact", lambda a: _number(a.adoption, "share")),
        ]
    return [
        *columns,
        _Column("KL, nats", _kl),
        _Column("reward", lambda a: _number(a.reward, "number")),
        _Column("reward, judge", lambda a: _number(a.judge, "number")),
        _Column("tokens", lambda a: f"{a.tokens:,}" + ("" if a.ended else ", cut")),
    ]


def _kl(answer: Answer) -> str:
    if answer.kl is None and answer.kl_bound is not None:
        return f"at most {_number(answer.kl_bound, 'number')}"
    return _number(answer.kl, "number")


def _number(value: float | None, style: Style) -> str:
    return "" if value is None else format_numbers([value], style)[0]


def _lines(asked: Asked) -> list[str]:
    """Two lines an answer, no line end inside."""
    lines = [f"question: {visible(asked.question, line=True)}"]
    seeds = len({answer.seed for answer in asked.answers}) > 1
    for answer in asked.answers:
        who = visible(answer.label, line=True) + (f", seed {answer.seed}" if seeds else "")
        said = [(column.title, column.said(answer)) for column in _columns(asked)]
        lines.append(f"{who}: {visible(answer.text, line=True)}")
        lines.append(f"{who}: {'; '.join(f'{title}: {value}' for title, value in said if value)}")
    return lines
