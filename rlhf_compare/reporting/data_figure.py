"""How long the data are, drawn from ``data_report.json``."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

import numpy as np
from matplotlib.axes import Axes

from rlhf_compare.reporting.drawing import BLUE, VERMILION, panels, save

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
    figure, sides = panels(len(_TITLES), height=3.4, width=9.0)
    for axes, name in zip(sides, _TITLES, strict=True):
        _histogram(axes, lengths[name], _TITLES[name])
    return save(figure, directory, "lengths", "Lengths of the data in tokens")


def _histogram(axes: Axes, lengths: Lengths, title: str) -> None:
    counts, limit = np.array(lengths["counts"] or [0]), lengths["limit"]
    width = max(1, -(-max(len(counts), 2) // _BINS))
    padded = np.pad(counts, (0, -len(counts) % width))
    heights = padded.reshape(-1, width).sum(axis=1)
    starts = np.arange(len(heights)) * width
    axes.bar(starts, heights, width=width, align="edge", color=BLUE, edgecolor="white", lw=0.4)
    label = f"limit {limit:,}: {lengths['over_limit']:,} over it"
    if limit <= 1.5 * len(counts):
        axes.axvline(limit, color=VERMILION, lw=1.5, label=label)
    else:  # the line would squeeze the bars into a corner
        axes.plot([], [], color=VERMILION, lw=1.5, label=f"{label} (off the axis)")
    middle, most = lengths["quantiles"]["p50"], lengths["quantiles"]["max"]
    axes.plot([], [], " ", label=f"median {middle:,}, longest {most:,}")
    axes.set_title(title, loc="left")
    axes.set(xlabel="tokens", ylabel=f"rows per {width} tokens" if width > 1 else "rows")
    axes.set_xlim(left=0)
    axes.legend(frameon=False, fontsize="small")
