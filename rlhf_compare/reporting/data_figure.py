"""How long the data are, drawn from ``data_report.json``."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_BLUE, _ORANGE = "#0072B2", "#D55E00"
_TITLES = {
    "prompt": "prompt",
    "sequence": "prompt + longest response, EOS included",
}
_BINS = 40


class Lengths(TypedDict):
    """Rows by number of tokens; quantiles: ``p50``, ``max`` and others, in tokens."""

    counts: list[int]
    limit: int
    over_limit: int
    quantiles: dict[str, int]


def draw_lengths(lengths: Mapping[str, Lengths], directory: Path) -> list[Path]:
    """Write ``lengths.png`` and ``lengths.svg``: rows by number of tokens, with the limits.

    Args:
        lengths: ``lengths`` of ``data_report.json``: of prompts and of whole sequences.
    """
    directory.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, name in zip(figure.subplots(1, 2), _TITLES, strict=True):
        _histogram(axes, lengths[name], _TITLES[name])
    files = [directory / f"lengths.{kind}" for kind in ("png", "svg")]
    # text stays text, and the same data give the same file
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "rlhf-compare"}):
        for file in files:
            figure.savefig(file, dpi=150, metadata={"Date": None} if file.suffix == ".svg" else {})
    return files


def _histogram(axes: Axes, lengths: Lengths, title: str) -> None:
    counts, limit = np.array(lengths["counts"] or [0]), lengths["limit"]
    width = max(1, -(-max(len(counts), 2) // _BINS))
    padded = np.pad(counts, (0, -len(counts) % width))
    heights = padded.reshape(-1, width).sum(axis=1)
    starts = np.arange(len(heights)) * width
    axes.bar(starts, heights, width=width, align="edge", color=_BLUE, edgecolor="white", lw=0.4)
    label = f"limit {limit:,}: {lengths['over_limit']:,} over it"
    if limit <= 1.5 * len(counts):
        axes.axvline(limit, color=_ORANGE, lw=1.5, label=label)
    else:  # the line would squeeze the bars into a corner
        axes.plot([], [], color=_ORANGE, lw=1.5, label=f"{label} (off the axis)")
    middle, most = lengths["quantiles"]["p50"], lengths["quantiles"]["max"]
    axes.plot([], [], " ", label=f"median {middle:,}, longest {most:,}")
    axes.set(
        title=title, xlabel="tokens", ylabel=f"rows per {width} tokens" if width > 1 else "rows"
    )
    axes.set_xlim(left=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small")
