"""What happened while the methods trained: the way through adoption and KL, and, for methods that
learn from pairs, what became of the two sides' likelihood."""

from collections.abc import Sequence

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
from rlhf_compare.reporting.method_schema import Point
from rlhf_compare.reporting.numbers import display_name, format_value
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
        colour, marker = look(results, name)
        for index, points in enumerate(found):
            x, y = _seen(points, "kl_exact"), _seen(points, "adoption_exact")
            label = display_name(name) if index == 0 else None
            axes.plot([0.0, *x], [p0, *y], "-", color=colour, linewidth=1.0, alpha=0.6)
            axes.plot(x, y, marker, color=colour, markersize=4, label=label, clip_on=False)
        rate, kl = (
            format_value(sum(_seen(points, key)[-1] for points in found) / len(found), "share")
            for key in ("adoption_exact", "kl_exact")
        )
        ends.append(f"{display_name(name)} {rate} at {kl}")
    axes.set_xlim(left=0.0)
    axes.set_xlabel("KL to the reference, exact (nats per response)")
    adoption_axis(axes)
    several = any(len(found) > 1 for found in runs.values())
    lead = "Adoption and nats at the last probe" + (", means over runs" if several else "")
    return finish(figure, axes, f"{lead}: {', '.join(ends)}")


def likelihoods(results: Results) -> Figure | None:
    """Log-ratios of chosen and rejected, apart, and the loss and adoption beside them."""
    runs = _paired_runs(results)
    if not runs:
        return None
    figure, (left, right) = panels(2)
    ends, drawn = [], [("loss", ":")]
    for name, found in runs.items():
        colour, points = look(results, name)[0], found[0]
        steps = [point.step / points[-1].step for point in points]
        for side, style in (("chosen", "-"), ("rejected", "--")):
            values = _seen(points, f"logratio_{side}")
            left.plot(steps, values, style, color=colour, label=f"{display_name(name)}, {side}")
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
        ends.append(f"{display_name(name)} {chosen} and {rejected}")
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
    return finish(figure, left, f"Chosen and rejected at the end: {'; '.join(ends)}", columns=4)


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
