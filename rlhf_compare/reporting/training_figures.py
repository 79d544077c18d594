"""What happened while the methods trained: the way through adoption and KL, and, for methods that
learn from pairs, what became of the two sides' likelihood."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rlhf_compare.reporting.comparisons import contenders
from rlhf_compare.reporting.drawing import (
    BLACK,
    GREY,
    adoption_axis,
    canvas,
    finish,
    floor_region,
    look,
    panels,
)
from rlhf_compare.reporting.evidence import base_rate
from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.method_schema import Point
from rlhf_compare.reporting.numbers import format_value
from rlhf_compare.reporting.schema import Results

Points = Sequence[Point]  # of one run, in order


def training_paths(results: Results) -> Figure | None:
    """Every run's way from the SFT model through adoption and KL, over the region that no policy
    can enter."""
    needed = ("adoption_exact", "kl_exact")
    runs = {name: _runs(results, name, *needed) for name in contenders(results)}
    runs = {name: found for name, found in runs.items() if found}
    p0 = base_rate(results)
    if not runs or p0 is None or not 0.0 < p0 < 1.0:
        return None
    figure, axes = canvas()
    floor_region(axes, p0)
    ends = []
    for name, found in runs.items():
        for points in found:
            x, y = _path(points, p0)
            axes.plot(x, y, "-", color=look(results, name)[0], linewidth=0.7, alpha=0.35)
        _mean_path(axes, results, name, found, p0)
        rate, kl = (
            format_value(sum(_seen(points, key)[-1] for points in found) / len(found), "share")
            for key in ("adoption_exact", "kl_exact")
        )
        ends.append(f"{label_of(results, name)} {rate} at {kl}")
    axes.set_xlim(left=0.0)
    axes.set_xlabel("KL to the reference, exact (nats per response)")
    adoption_axis(axes)
    counts = sorted({len(found) for found in runs.values()})
    over = "one seed"
    if counts != [1]:
        over = f"means over {' to '.join(map(str, {counts[0]: 0, counts[-1]: 0}))} seeds"
    lead = f"Adoption and nats at the last probe ({over})"
    return finish(figure, axes, f"{lead}: {', '.join(ends)}")


def several_runs(results: Results) -> bool:
    """Whether a mean over runs is drawn."""
    needed = ("adoption_exact", "kl_exact")
    return any(len(_runs(results, name, *needed)) > 1 for name in contenders(results))


def _path(points: Points, p0: float) -> tuple[list[float], list[float]]:
    """KL and adoption of one run from its start: the SFT model on the probe's prompts, or, where
    the log does not tell it, on those of the evaluation."""
    x, y = _seen(points, "kl_exact"), _seen(points, "adoption_exact")
    return (x, y) if points[0].step == 0 else ([0.0, *x], [p0, *y])


def _mean_path(axes: Axes, results: Results, name: str, found: list[Points], p0: float) -> None:
    """The mean over runs at each probe that all of them made, with the range of both numbers."""
    colour, marker = look(results, name)
    paths = [_path(points, p0) for points in found]
    probes = min(len(x) for x, _ in paths)
    drift, rate = (np.array([path[axis][:probes] for path in paths]) for axis in (0, 1))
    x, y = drift.mean(axis=0), rate.mean(axis=0)
    axes.plot(x, y, "-", color=colour, linewidth=1.8)
    ranges = [
        np.stack([m - v.min(axis=0), v.max(axis=0) - m])[:, 1:] for m, v in ((x, drift), (y, rate))
    ]
    axes.errorbar(
        x[1:],
        y[1:],
        xerr=ranges[0] if len(paths) > 1 else None,
        yerr=ranges[1] if len(paths) > 1 else None,
        fmt=marker,
        color=colour,
        markersize=4.5,
        elinewidth=0.8,
        label=label_of(results, name),
        clip_on=False,
    )


def likelihoods(results: Results) -> Figure | None:
    """Log-ratios of chosen and rejected, apart, and the loss and adoption beside them."""
    runs = _paired_runs(results)
    if not runs:
        return None
    figure, (left, right) = panels(2)
    ends, drawn, seeds = [], [("loss", ":")], set()
    for name, found in runs.items():
        colour, points = look(results, name)[0], found[0]
        steps = [point.step / points[-1].step for point in points]
        for side, style in (("chosen", "-"), ("rejected", "--")):
            values = _seen(points, f"logratio_{side}")
            left.plot(
                steps, values, style, color=colour, label=f"{label_of(results, name)}, {side}"
            )
        losses = _seen(points, "held_out_loss")
        first = losses[0] or 1.0  # losses of different kinds on one scale
        right.plot(steps, [loss / first for loss in losses], ":", color=colour)
        for key, label, style in _PROBED:
            asked = [s for s, p in zip(steps, points, strict=True) if p.value(key) is not None]
            if asked:
                right.plot(asked, _seen(points, key), style, color=colour)
                drawn.append((label, style))
        last = points[-1]
        chosen, rejected = (
            format_value(last.value(f"logratio_{side}"), "number")
            for side in ("chosen", "rejected")
        )
        ends.append(f"{label_of(results, name)} {chosen} and {rejected}")
        seeds.add(results.methods[name].training[0].seed)
    left.axhline(0.0, color=GREY, linewidth=0.8)
    left.set_ylabel("log-ratio (nats per response)")
    beside = ", adoption" if adoption_was_probed(results) else ""
    right.set_ylabel(f"held-out loss (of the first){beside}")
    right.set_ylim(-0.05, 1.3)
    for label, style in dict.fromkeys(drawn):
        right.plot([], [], style, color=BLACK, label=label)
    for axes in (left, right):
        axes.set_xlabel("share of training")
        axes.set_xlim(0.0, 1.0)
    lead = f"Chosen and rejected at the end, seed {', '.join(map(str, sorted(seeds)))}"
    return finish(figure, left, f"{lead}: {'; '.join(ends)}", columns=4)


_PROBED = (
    ("adoption_exact", "adoption, exact", "-"),
    ("adoption_greedy", "adoption, greedy", "--"),
)


def adoption_was_probed(results: Results) -> bool:
    """Whether the figure of likelihoods has a curve of adoption."""
    points = (point for found in _paired_runs(results).values() for point in found[0])
    return any(point.value(key) is not None for point in points for key, _, _ in _PROBED)


def _paired_runs(results: Results) -> dict[str, list[Points]]:
    """The runs that probed both sides of pairs, by method."""
    needed = ("logratio_chosen", "logratio_rejected", "held_out_loss")
    runs = {name: _runs(results, name, *needed) for name in contenders(results)}
    return {name: found for name, found in runs.items() if found}


def _runs(results: Results, name: str, *needed: str) -> list[Points]:
    """The points that hold every needed number, of the runs that have any."""
    complete = (
        [point for point in run.points if all(point.value(key) is not None for key in needed)]
        for run in results.methods[name].training
    )
    return [points for points in complete if points]


def _seen(points: Points, name: str) -> list[float]:
    """What the probes saw under one name, where they looked."""
    return [value for point in points if (value := point.value(name)) is not None]
