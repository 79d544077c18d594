"""The figures of a frontier, each None where what it needs was not measured."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rlhf_compare.frontier.over_optimisation import JUDGE, KL, PROXY
from rlhf_compare.frontier.results import Frontier
from rlhf_compare.reporting.drawing import (
    BLACK,
    GREY,
    LOOKS,
    adoption_axis,
    canvas,
    finish,
    floor_region,
    panels,
)
from rlhf_compare.sweeps.axes import kl_axis
from rlhf_compare.sweeps.grid import value_text
from rlhf_compare.sweeps.points import Point

ADOPTION = "adoption.exact"
_FAR = 3.0  # times the median KL: beyond it the axis is logarithmic


def adoption_against_kl(frontier: Frontier) -> Figure | None:
    """Adoption over the knob's values, with the floor and what theory predicts."""
    if not _drawn(frontier, ADOPTION):
        return None
    figure, axes = canvas(4.8)
    _floor(frontier, axes)
    _lines(frontier, axes, ADOPTION)
    best = frontier.yardstick
    if best:
        x, y = [one.kl_bound for one in best], [one.adoption for one in best]
        axes.plot(x, y, "s", color=GREY, markersize=5, label="best of n, KL bound", zorder=3)
        axes.annotate(
            f"n = {best[-1].n}", (x[-1], y[-1]), xytext=(6, -11), textcoords="offset points",
            fontsize=8,
        )  # fmt: skip
    if frontier.optimum:
        x, y = [one.kl for one in frontier.optimum], [one.adoption for one in frontier.optimum]
        axes.plot(
            x, y, "x", color=BLACK, markersize=8, mew=1.8, label="optimum, predicted", zorder=5
        )
    _kl(frontier, axes, ADOPTION)
    adoption_axis(axes)
    return finish(figure, axes, _takeaway(frontier, ADOPTION, "Adoption"), columns=4)


def judge_against_kl(frontier: Frontier) -> Figure | None:
    """The judge's reward over the knob's values."""
    if not _drawn(frontier, JUDGE):
        return None
    figure, axes = canvas()
    start = frontier.sft.get(JUDGE)
    if start is not None:
        axes.plot([0.0], [start.mean], "s", color=BLACK, markersize=7, label="SFT", clip_on=False)
    _lines(frontier, axes, JUDGE)
    _kl(frontier, axes, JUDGE)
    axes.set_ylabel("reward by the judge (score)")
    return finish(figure, axes, _takeaway(frontier, JUDGE, "The judge's reward"))


def over_optimisation(frontier: Frontier) -> Figure | None:
    """Both rewards against sqrt(KL), less those of SFT: one panel a method."""
    start = {path: frontier.sft.get(path) for path in (PROXY, JUDGE)}
    methods = [m for m in frontier.knobs if all(_sound(frontier, m, path) for path in start)]
    if not methods or any(value is None for value in start.values()):
        return None
    figure, drawn = panels(len(methods), width=max(7.2, 3.4 * len(methods)))
    onset_named = False
    for axes, method in zip(drawn, methods, strict=True):
        for path, style, label in ((PROXY, "--", "proxy"), (JUDGE, "-", "judge")):
            points, base = _sound(frontier, method, path), start[path]
            assert base is not None
            x = [np.sqrt(max(point.mean(KL) or 0.0, 0.0)) for point in points]
            y = [(point.mean(path) or 0.0) - base.mean for point in points]
            shown = label if method == methods[0] else None
            axes.plot(x, y, style, marker="o", color=BLACK, markersize=4, label=shown)
            for point in points:
                for kl, reward in _dots(point, path):
                    at = [np.sqrt(max(kl, 0.0))], [reward - base.mean]
                    axes.plot(*at, ".", color=GREY, markersize=4, zorder=1)
        found = frontier.over_optimisation.get(method)
        if found is not None and found.verdict == "onset":
            shown = None if onset_named else "onset"
            axes.axvline(found.peak, color=LOOKS[0][0], linewidth=1.2, linestyle=":", label=shown)
            onset_named = True
        axes.set_xlabel(f"√KL (√nats), {frontier.label(method)}")
        axes.set_xlim(0.0, max(axes.get_xlim()[1], 0.1))
    drawn[0].set_ylabel("reward, less SFT's (score)")
    return finish(figure, drawn[0], _onset_title(frontier, methods), width=70)


def training(frontier: Frontier) -> Figure | None:
    """The way of every seed under the recipe's own setting, by the probes."""
    if not frontier.training:
        return None
    figure, axes = canvas()
    _floor(frontier, axes)
    start = frontier.sft.get(ADOPTION)
    for place, method in enumerate(frontier.knobs):
        colour, marker = LOOKS[place % len(LOOKS)]
        label: str | None = frontier.label(method)
        for run in frontier.training:
            if run.method != method:
                continue
            x, y = list(run.kl), list(run.adoption)
            if start is not None:
                axes.plot([0.0, *x], [start.mean, *y], "-", color=colour, linewidth=0.9, alpha=0.6)
            axes.plot(x, y, marker, color=colour, markersize=4, label=label, clip_on=False)
            label = None
    kls = [kl for run in frontier.training for kl in run.kl]
    kl_axis(axes, max(kls), _FAR * float(np.median(kls)))
    adoption_axis(axes)
    own = ", ".join(
        f"{frontier.label(m)} {frontier.knobs[m]} {value_text(frontier.own[m])}"
        for m in frontier.knobs
        if any(run.method == m for run in frontier.training)
    )
    return finish(figure, axes, f"While training, a path a seed: {own}")


DRAWINGS: dict[str, tuple[Callable[[Frontier], Figure | None], str]] = {
    "adoption": (adoption_against_kl, "Adoption against KL over each method's knob"),
    "judge": (judge_against_kl, "The judge's reward against KL over each method's knob"),
    "over_optimisation": (over_optimisation, "Both rewards against the square root of KL"),
    "training": (training, "Adoption against KL over training time"),
}


def _lines(frontier: Frontier, axes: Axes, path: str) -> None:
    """A curve a method through its settings' means; a dot each seed; hollow where a seed failed or
    collapsed."""
    for place, method in enumerate(frontier.knobs):
        colour, marker = LOOKS[place % len(LOOKS)]
        points = _shown(frontier, method, path)
        for point in points:
            for at in _dots(point, path):
                axes.plot(*([one] for one in at), ".", color=colour, markersize=4, alpha=0.6)
        x, y = _means(_sound(frontier, method, path), path)
        name = frontier.label(method)
        axes.plot(x, y, "-", marker=marker, color=colour, markersize=6, label=name, clip_on=False)
        lost = [point for point in points if not point.sound]
        if lost:
            axes.plot(
                *_means(lost, path), marker, color=colour, markersize=7, markerfacecolor="none",
                label=f"{name}, a seed lost", clip_on=False,
            )  # fmt: skip


def _means(points: Sequence[Point], path: str) -> tuple[list[float], list[float]]:
    return [p.mean(KL) or 0.0 for p in points], [p.mean(path) or 0.0 for p in points]


def _dots(point: Point, path: str) -> list[tuple[float, float]]:
    drift, value = point.metrics[KL], point.metrics[path]
    assert drift is not None and value is not None, "callers choose points that were measured"
    pairs = zip(drift.by_seed, value.by_seed, strict=True)
    return [(kl, seen) for kl, seen in pairs if kl is not None and seen is not None]


def _shown(frontier: Frontier, method: str, path: str) -> list[Point]:
    """The points of a method at which this and the KL were measured, in order of KL."""
    points = frontier.of(method)
    return [p for p in points if p.metrics.get(path) is not None and p.metrics.get(KL) is not None]


def _sound(frontier: Frontier, method: str, path: str) -> list[Point]:
    """Those of them that lost no seed, on which the verdicts rest."""
    return [point for point in _shown(frontier, method, path) if point.sound]


def _drawn(frontier: Frontier, path: str) -> list[Point]:
    return [point for method in frontier.knobs for point in _shown(frontier, method, path)]


def _floor(frontier: Frontier, axes: Axes) -> None:
    start = frontier.sft.get(ADOPTION)
    if start is not None and 0.0 < start.mean < 1.0:
        floor_region(axes, start.mean)


def _kl(frontier: Frontier, axes: Axes, path: str) -> None:
    kls = [point.mean(KL) or 0.0 for point in _drawn(frontier, path)]
    kl_axis(axes, max(kls), _FAR * float(np.median(kls)))


def _takeaway(frontier: Frontier, path: str, what: str) -> str:
    """Of the first two methods that are compared in this value; else what is drawn."""
    knobs = ", ".join(f"{frontier.label(m)} over {field}" for m, field in frontier.knobs.items())
    pair = next((one for one in frontier.pairs if one.value == path), None)
    if pair is None:
        return f"{what} for drift: {knobs}"
    ahead, behind = map(frontier.label, (pair.a, pair.b) if pair.mean > 0 else (pair.b, pair.a))
    where = f"over {pair.low:.1f} to {pair.high:.1f} nats"
    if pair.interval is None:
        return f"{what} {where}: {ahead} {abs(pair.mean):.3f} above {behind}, too few seeds"
    if pair.interval[0] <= 0.0 <= pair.interval[1]:
        return f"{what} {where}: no difference of {ahead} and {behind} shown"
    return f"{what} {where}: {ahead} {abs(pair.mean):.3f} above {behind} in the mean"


def _onset_title(frontier: Frontier, methods: Sequence[str]) -> str:
    words = {
        "onset": "an onset of over-optimisation",
        "both fall": "both rewards fall",
        "none": "no onset within the range",
        "undecided": "no verdict from under three seeds",
    }
    found = frontier.over_optimisation
    parts = [f"{frontier.label(m)}: {words[found[m].verdict]}" for m in methods if m in found]
    return "; ".join(parts) or "Both rewards against the square root of KL"
