"""All settings of a search, adoption (or the judge's reward) against KL, the chosen ones ringed."""

from matplotlib.figure import Figure

from rlhf_compare.metrics import BY_PATH
from rlhf_compare.reporting.drawing import (
    BLACK,
    LOOKS,
    adoption_axis,
    canvas,
    finish,
    floor_region,
)
from rlhf_compare.sweeps.axes import kl_axis
from rlhf_compare.sweeps.points import Point
from rlhf_compare.tuning.choice import JUDGE
from rlhf_compare.tuning.results import Tuning

_LINEAR = 1.5  # times the budget: beyond it the axis is logarithmic, or a run away hides the rest


def draw(tuning: Tuning) -> Figure | None:
    """None where no setting was measured."""
    shown = [p for p in tuning.points if p.kl is not None and _height(tuning, p) is not None]
    if not shown:
        return None
    figure, axes = canvas()
    p0 = tuning.sft.get("adoption.exact")
    if tuning.behaviour and p0 is not None and 0.0 < p0.mean < 1.0:
        floor_region(axes, p0.mean)
    ringed = "chosen"
    for place, method in enumerate(tuning.chosen):
        colour, marker = LOOKS[place % len(LOOKS)]
        points = [point for point in shown if point.method == method]
        x, y = [p.kl or 0.0 for p in points], [_height(tuning, p) or 0.0 for p in points]
        name = tuning.label(method)
        axes.plot(x, y, marker, color=colour, markersize=6, alpha=0.75, label=name, clip_on=False)
        for px, py, point in zip(x, y, points, strict=True):
            if point.name == tuning.chosen[method].name:
                axes.plot(
                    [px], [py], "o", markersize=14, markerfacecolor="none", markeredgewidth=1.6,
                    markeredgecolor=BLACK, label=ringed or None, clip_on=False, zorder=5,
                )  # fmt: skip
                ringed = ""
    axes.axvline(tuning.kl_budget, color=BLACK, linewidth=0.9, linestyle=":", label="KL budget")
    kl_axis(axes, max(point.kl or 0.0 for point in shown), _LINEAR * tuning.kl_budget)
    if tuning.behaviour:
        adoption_axis(axes)
        axes.axhline(tuning.adoption, color=BLACK, linewidth=0.9, linestyle="--", label="asked for")
    else:
        axes.set_ylabel(f"{BY_PATH[JUDGE].prose} (score)")
    return finish(figure, axes, _takeaway(tuning))


def _height(tuning: Tuning, point: Point) -> float | None:
    return point.adoption if tuning.behaviour else point.mean(JUDGE)


def _takeaway(tuning: Tuning) -> str:
    parts = []
    for method in tuning.chosen:
        points = [p for p in tuning.of(method) if p.sound and p.kl is not None]
        within = [p for p in points if (p.kl or 0.0) <= tuning.kl_budget]
        if tuning.behaviour:
            within = [p for p in within if (p.adoption or 0.0) >= tuning.adoption]
        parts.append(f"{tuning.label(method)} {len(within)} of {len(tuning.of(method))}")
    asked = f" with adoption of {tuning.adoption:g} or more" if tuning.behaviour else ""
    return f"Settings within {tuning.kl_budget:g} nats{asked}: {', '.join(parts)}"
