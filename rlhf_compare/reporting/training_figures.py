"""What happened while the methods trained: the way through adoption and KL, and, for methods that
learn from pairs, what became of the two sides' likelihood."""

from typing import Any

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
from rlhf_compare.reporting.numbers import display_name, format_value
from rlhf_compare.reporting.verdict import base_rate

Points = list[dict[str, float]]


def training_paths(results: dict[str, Any]) -> Figure | None:
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
            x, y = ([p[key] for p in points] for key in ("kl_exact", "adoption_exact"))
            label = display_name(name) if index == 0 else None
            axes.plot([0.0, *x], [p0, *y], "-", color=colour, linewidth=1.0, alpha=0.6)
            axes.plot(x, y, marker, color=colour, markersize=4, label=label, clip_on=False)
        rate, kl = (
            format_value(sum(points[-1][key] for points in found) / len(found), "share")
            for key in ("adoption_exact", "kl_exact")
        )
        ends.append(f"{display_name(name)} {rate} at {kl}")
    axes.set_xlim(left=0.0)
    axes.set_xlabel("KL to the reference, exact (nats per response)")
    adoption_axis(axes)
    several = any(len(found) > 1 for found in runs.values())
    lead = "Adoption and nats at the last probe" + (", means over runs" if several else "")
    return finish(figure, axes, f"{lead}: {', '.join(ends)}")


def likelihoods(results: dict[str, Any]) -> Figure | None:
    """Log-ratios of chosen and rejected, apart, and the loss and adoption beside them."""
    runs = _paired_runs(results)
    if not runs:
        return None
    figure, (left, right) = panels(2)
    ends, drawn = [], [("loss", ":")]
    for name, found in runs.items():
        colour, points = look(results, name)[0], found[0]
        steps = [p["step"] / points[-1]["step"] for p in points]
        for side, style in (("chosen", "-"), ("rejected", "--")):
            values = [p[f"logratio_{side}"] for p in points]
            left.plot(steps, values, style, color=colour, label=f"{display_name(name)}, {side}")
        first = points[0]["held_out_loss"] or 1.0  # losses of different kinds on one scale
        right.plot(steps, [p["held_out_loss"] / first for p in points], ":", color=colour)
        for key, label, style in _PROBED:
            seen = [(s, p[key]) for s, p in zip(steps, points, strict=True) if key in p]
            if seen:
                right.plot(*zip(*seen, strict=True), style, color=colour)
                drawn.append((label, style))
        last = [format_value(points[-1][f"logratio_{s}"], "number") for s in ("chosen", "rejected")]
        ends.append(f"{display_name(name)} {last[0]} and {last[1]}")
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


def adoption_was_probed(results: dict[str, Any]) -> bool:
    """Whether the figure of likelihoods has a curve of adoption."""
    points = (point for found in _paired_runs(results).values() for point in found[0])
    return any(key in point for point in points for key, _, _ in _PROBED)


def _paired_runs(results: dict[str, Any]) -> dict[str, list[Points]]:
    """The runs that probed both sides of pairs, by method."""
    needed = ("logratio_chosen", "logratio_rejected", "held_out_loss")
    runs = {name: _runs(results, name, *needed) for name in contenders(results)}
    return {name: found for name, found in runs.items() if found}


def _runs(results: dict[str, Any], name: str, *needed: str) -> list[Points]:
    """The points that hold every needed number, of the runs that have any."""
    runs = (run["points"] for run in results["methods"][name]["training"])
    complete = ([p for p in points if all(k in p for k in needed)] for points in runs)
    return [points for points in complete if points]
