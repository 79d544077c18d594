"""What the figures share: canvas, palette, markers with error bars, legend.

matplotlib's object interface only: no pyplot, no global state, so that a report can be written
from any thread and after any other plotting. Method, stage and phase names match a strict pattern
in the schema, so no text here can hold a `$` that matplotlib would read as mathematics.
"""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rlhf_compare.reporting.comparisons import SFT, contenders
from rlhf_compare.reporting.cost_words import COST, seconds_by_seed
from rlhf_compare.reporting.evidence import ADOPTION
from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.method_schema import Estimate
from rlhf_compare.reporting.schema import Results
from rlhf_compare.theory import binary_kl

# Okabe and Ito's palette: told apart with every common kind of colour blindness
BLACK, GREY, BLUE, SKY = "#000000", "#999999", "#0072B2", "#56B4E9"
GREEN, YELLOW, ORANGE = "#009E73", "#F0E442", "#E69F00"
VERMILION, PURPLE = "#D55E00", "#CC79A7"
PHASE_COLOURS = {
    "load": BLACK,
    "data": YELLOW,
    "reference": PURPLE,
    "generate": VERMILION,
    "score": ORANGE,
    "update": BLUE,
    "evaluate": GREEN,
    "save": SKY,
}
# colour and marker: a printed page in grey still tells the methods apart
_OF_SFT = (BLACK, "s")
LOOKS = (
    *((VERMILION, "o"), (BLUE, "^"), (GREEN, "D")),
    *((PURPLE, "v"), (ORANGE, "P"), (SKY, "X")),
)


def canvas(height: float = 4.2) -> tuple[Figure, Axes]:
    """A figure of 7.2 by `height` inches with one set of axes, drawn by Agg."""
    figure = Figure(figsize=(7.2, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    _plain(axes)
    return figure, axes


def panels(columns: int, height: float = 4.0, width: float = 7.2) -> tuple[Figure, Sequence[Axes]]:
    """Like :func:`canvas`, with several sets of axes side by side."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(1, columns))
    for each in axes:
        _plain(each)
    return figure, axes


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def look(results: Results, name: str) -> tuple[str, str]:
    """Colour and marker of a method, by its position among those that are compared."""
    if name == SFT:
        return _OF_SFT
    return LOOKS[contenders(results).index(name) % len(LOOKS)]


def measured(results: Results, names: Sequence[str], *paths: str) -> list[str]:
    """Those of `names` for which every one of `paths` was measured."""
    methods = results.methods
    return [n for n in names if all(methods[n].measured(path) is not None for path in paths)]


def error_bar(value: Estimate | float | None) -> tuple[list[float], list[float]] | None:
    """Lengths below and above the mean; None for a number or estimate that has no interval."""
    if not isinstance(value, Estimate) or value.interval is None:
        return None
    low, high = value.interval
    return [max(value.mean - low, 0.0)], [max(high - value.mean, 0.0)]


def mark(axes: Axes, results: Results, name: str, x_path: str) -> tuple[float, float]:
    """Draw one method at (value at `x_path`, exact adoption) with both intervals; return where."""
    method = results.methods[name]
    colour, marker = look(results, name)
    x, y = method.value(x_path), method.value(ADOPTION)
    assert x is not None and y is not None, "callers choose methods by measured()"
    axes.errorbar(
        [x],
        [y],
        xerr=error_bar(method.measured(x_path)),
        yerr=error_bar(method.measured(ADOPTION)),
        fmt=marker,
        color=colour,
        markersize=7,
        capsize=5,
        linewidth=1.4,
        label=label_of(results, name),
        zorder=4,
        clip_on=False,
    )
    dots(axes, _by_seed(results, name, x_path), _by_seed(results, name, ADOPTION), colour)
    return x, y


def _by_seed(results: Results, name: str, path: str) -> list[float]:
    """A metric of every seed, or the seconds of a path; empty where the seeds were not kept."""
    if path == COST:
        return seconds_by_seed(results, name)
    found = results.methods[name].measured(path)
    values = found.by_seed if isinstance(found, Estimate) else []
    return [value for value in values if value is not None]


def dots(axes: Axes, x: Sequence[float], y: Sequence[float], colour: str) -> None:
    """One small dot a seed, where there are several and both of a dot's numbers are known."""
    if len(x) == len(y) > 1:
        axes.plot(x, y, ".", color=colour, markersize=4, alpha=0.6, zorder=5, clip_on=False)


def basis(results: Results, names: Sequence[str], path: str) -> str:
    """What the means of a figure are over: 'means over 5 seeds, 200 prompts'."""
    found = [results.methods[name].estimate(path) for name in names]
    seeds, prompts = (
        sorted({getattr(one, key) for one in found if one is not None}) for key in ("seeds", "n")
    )
    if not seeds:
        return ""
    runs = "one seed" if seeds == [1] else f"means over {_range(seeds)} seeds"
    return f"{runs}, {_range(prompts)} prompts"


def _range(counts: Sequence[int]) -> str:
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def floor_curve(p0: float, points: int = 200) -> tuple[list[float], list[float]]:
    """Adoption rates from p0 to 1 and the least KL, in nats, that can reach each of them.

    Raises:
        ValueError: `p0` is not strictly between 0 and 1, where there is no curve.
    """
    if not 0.0 < p0 < 1.0:
        raise ValueError(f"the base rate must lie between 0 and 1 for a floor, got {p0!r}")
    rates = [float(rate) for rate in np.linspace(p0, 1.0, points)]
    return rates, [binary_kl(rate, p0) for rate in rates]


def floor_region(axes: Axes, p0: float) -> None:
    """Grey where no policy can be: less KL than the floor of its adoption."""
    rates, least = floor_curve(p0)
    axes.fill_betweenx(rates, 0.0, least, color=GREY, alpha=0.3, linewidth=0, label="out of reach")
    axes.plot(least, rates, color=BLACK, linewidth=1.4, label="KL floor at p0")


def note(axes: Axes, text: str, at: tuple[float, float]) -> None:
    """A small label to the lower right of a point, clear of the lines that leave it upwards."""
    axes.annotate(
        text, at, xytext=(9, -4), textcoords="offset points", va="top", fontsize=9, zorder=6
    )


_LINE, _HANDLE = 110, 8  # characters: in a line of the legend; taken by one marker there


def finish(figure: Figure, axes: Axes, takeaway: str, columns: int = 6, width: int = 78) -> Figure:
    """Title on the left and the legend below the axes, where no marker can hide behind it.

    Args:
        width: of the title, in characters; it starts where the axes do.
    """
    axes.set_title(textwrap.fill(takeaway, width), fontsize=10.5, loc="left")
    longest = max((len(label) for label in axes.get_legend_handles_labels()[1]), default=1)
    columns = max(1, min(columns, _LINE // (longest + _HANDLE)))  # or matplotlib cuts its ends off
    figure.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    return figure


def describe(figure: Figure) -> str:
    """The figure in words for a screen reader: its takeaway, then what its axes show."""
    first, *_ = figure.axes
    takeaway = " ".join(first.get_title(loc="left").split())
    labels = [f"{each.get_ylabel()} over {each.get_xlabel()}" for each in figure.axes]
    return ". ".join([takeaway, *(label for label in labels if not label.startswith(" over "))])


def save(figure: Figure, directory: Path, name: str, title: str) -> list[Path]:
    """Write ``name.png`` and ``name.svg``; the same figure gives the same bytes.

    Args:
        title: of the SVG, for a screen reader.
    """
    png, svg = directory / f"{name}.png", directory / f"{name}.svg"
    figure.savefig(png, dpi=160)
    # text stays text; a fixed salt and no date, or two drawings of the same numbers would differ
    metadata = {"Date": None, "Title": title, "Description": describe(figure)}
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(svg, metadata=metadata)
    return [png, svg]


def adoption_axis(axes: Axes) -> None:
    """From a little below 0, which leaves room for a label, to a little above 1."""
    axes.set_ylim(-0.08, 1.06)
    axes.set_ylabel("adoption, exact (probability)")
