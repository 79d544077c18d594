"""The figures, each None where what it needs was not measured.

Titles are takeaways computed from the numbers, never written in advance.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rlhf_compare.reporting.comparisons import contenders, main_pair
from rlhf_compare.reporting.cost_words import COST, path_costs, seconds_by_seed
from rlhf_compare.reporting.drawing import (
    BLACK,
    GREY,
    PHASE_COLOURS,
    adoption_axis,
    basis,
    canvas,
    dots,
    finish,
    floor_region,
    look,
    mark,
    measured,
    note,
    save,
)
from rlhf_compare.reporting.evidence import ADOPTION, DRIFT, base_rate, percent
from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.method_schema import DeviceSeconds, StageCost
from rlhf_compare.reporting.numbers import format_value
from rlhf_compare.reporting.recipe_facts import sft_is_given, start_words
from rlhf_compare.reporting.reward_checks import calibration
from rlhf_compare.reporting.schema import Results
from rlhf_compare.reporting.tables import PHASES
from rlhf_compare.reporting.training_figures import (
    adoption_was_probed,
    likelihoods,
    several_runs,
    training_paths,
)

_NO_PHASE = "in no phase"


def adoption_against_seconds(results: Results) -> Figure | None:
    """How far each path moved the behaviour for its device seconds, all of them charged."""
    names = measured(results, contenders(results), ADOPTION, COST)
    if not names:
        return None
    figure, axes = canvas()
    if measured(results, [n for n in results.methods if n == "sft"], ADOPTION, COST):
        start = mark(axes, results, "sft", COST)
        note(axes, f"start: {start_words(results)}, p0 = {format_value(start[1], 'share')}", start)
    reached = []
    for name in names:
        x, y = mark(axes, results, name, COST)
        seconds, rate = format_value(x, "seconds"), format_value(y, "share")
        reached.append(f"{label_of(results, name)} {rate} in {seconds} s")
    axes.set_xlim(left=0.0)
    axes.set_xlabel("device time of the whole path (seconds)")
    adoption_axis(axes)
    lead = f"Adoption reached ({basis(results, names, ADOPTION)})"
    return finish(figure, axes, f"{lead}: {', '.join(reached)}")


def adoption_against_kl(results: Results) -> Figure | None:
    """How much drift each method paid for its adoption, beside the least that theory allows."""
    names = measured(results, contenders(results), ADOPTION, DRIFT)
    p0 = base_rate(results)
    if not names or p0 is None or not 0.0 < p0 < 1.0:
        return None
    figure, axes = canvas()
    floor_region(axes, p0)
    # the reference has no drift from itself by definition: nothing is filled in here
    axes.plot([0.0], [p0], look(results, "sft")[1], color=BLACK, markersize=7, clip_on=False)
    note(axes, f"start: {start_words(results)}, p0 = {format_value(p0, 'share')}", (0.0, p0))
    tick_label: str | None = "a method's own floor"
    for name in names:
        _, rate = mark(axes, results, name, DRIFT)
        floor = results.methods[name].value("kl_to_reference.floor")
        if floor is not None:
            (tick,) = axes.plot([floor], [rate], "|", ms=11, mew=2.2, label=tick_label, zorder=5)
            tick.set_color(look(results, name)[0])
            tick_label = None
    axes.set_xlim(left=0.0)
    axes.set_xlabel("KL to the reference, exact (nats per response)")
    adoption_axis(axes)
    return finish(
        figure, axes, f"{_drift_takeaway(results, names)} ({basis(results, names, DRIFT)})"
    )


def _drift_takeaway(results: Results, names: list[str]) -> str:
    shares = [results.methods[n].value("kl_to_reference.efficiency") for n in names]
    known = [(n, share) for n, share in zip(names, shares, strict=True) if share is not None]
    if known:
        parts = [f"{percent(share)} of {label_of(results, name)}'s" for name, share in known]
        return f"The least KL possible is {', '.join(parts)}"
    drifts = [(n, format_value(results.methods[n].value(DRIFT), "number")) for n in names]
    return "KL in nats: " + ", ".join(f"{label_of(results, n)} {drift}" for n, drift in drifts)


def seconds_by_stage(results: Results) -> Figure | None:
    """Where each path's device seconds went: one bar a stage, each starting where the last ended.

    One bar a path would squeeze a short stage between two long ones until no label fits.
    """
    paths = measured(results, contenders(results) or list(results.methods), COST)
    costs: dict[str, DeviceSeconds] = {}
    for name in paths:
        spent = results.methods[name].cost.device_seconds
        if spent is not None and spent.stages:
            costs[name] = spent
    if not costs:
        return None
    bars = sum(len(cost.stages) for cost in costs.values())
    figure, axes = canvas(height=1.7 + 0.36 * bars + 0.2 * len(costs))
    longest = max(cost.path_total for cost in costs.values()) or 1.0
    y, ticks = 0.0, {}
    for path, cost in costs.items():
        start = 0.0
        for stage, taken in cost.stages.items():
            end = _bar(axes, y, start, taken)
            dots(axes, [start + s for s in taken.by_seed], [y] * len(taken.by_seed), BLACK)
            end = max([end, *(start + seconds for seconds in taken.by_seed)])
            start += taken.total
            text = f"{format_value(taken.total, 'seconds')} s"
            if stage == list(cost.stages)[-1]:
                text += f", path {format_value(cost.path_total, 'seconds')} s"
            axes.text(max(end, start) + 0.01 * longest, y, text, va="center", fontsize=9)
            ticks[f"{label_of(results, path)} path: {label_of(results, stage)}"] = y
            y += 1.0
        y += 0.6
    seen = {phase for c in costs.values() for s in c.stages.values() for phase in _parts(s)}
    for phase in [p for p in (*PHASES, *sorted(seen.difference(PHASES))) if p in seen]:
        axes.barh([0.0], [0.0], color=_phase_colour(phase), label=phase)  # for the legend alone
    axes.set_yticks(list(ticks.values()), list(ticks))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0.0, longest * 1.45)
    axes.set_xlabel("device time (seconds)")
    return finish(figure, axes, _cost_takeaway(results, list(costs)), columns=5, width=52)


def _parts(spent: StageCost) -> dict[str, float]:
    """Seconds by phase; what no phase claims is drawn too, or bars would fall short of totals."""
    rest = spent.total - sum(spent.phases.values())
    unclaimed = {_NO_PHASE: rest} if rest > 0.01 * spent.total else {}
    return {**spent.phases, **unclaimed}


def _phase_colour(phase: str) -> str:
    return PHASE_COLOURS.get(phase, GREY)


def _bar(axes: Axes, y: float, start: float, spent: StageCost) -> float:
    """Draw one stage's phases end to end from `start`; return where the bar ends, in seconds."""
    for phase, seconds in _parts(spent).items():
        axes.barh([y], [seconds], left=start, height=0.72, color=_phase_colour(phase))
        start += seconds
    return start


def _cost_takeaway(results: Results, paths: list[str]) -> str:
    totals = {name: results.methods[name].value(COST) or 0.0 for name in paths}
    pair = main_pair(results)
    found = path_costs(results, pair) if pair and all(name in totals for name in pair) else None
    if found is not None:
        return found[2]
    parts = [f"{label_of(results, n)} {format_value(totals[n], 'seconds')} s" for n in paths]
    return "Device time of the whole path: " + ", ".join(parts)


def _has_intervals(results: Results) -> bool:
    """Whether any marker of adoption has a bar."""
    values = (results.methods[n].estimate(ADOPTION) for n in contenders(results))
    return any(value is not None and value.interval is not None for value in values)


def _has_seeds(results: Results) -> bool:
    """Whether any mean is over several seeds that were kept apart."""
    return any(len(seconds_by_seed(results, name)) > 1 for name in contenders(results))


def _has_floors(results: Results) -> bool:
    return bool(measured(results, contenders(results), "kl_to_reference.floor"))


@dataclass(frozen=True)
class Drawing:
    """A figure on the page: file name without suffix, heading, and how to read it.

    `details`: further sentences of the caption, each with its condition: a caption explains only
    what is drawn.
    """

    draw: Callable[[Results], Figure | None]
    name: str
    heading: str
    caption: str
    details: tuple[tuple[Callable[[Results], bool], str], ...] = ()

    def caption_of(self, results: Results) -> str:
        """How to read what these results drew."""
        return " ".join([self.caption, *(text for holds, text in self.details if holds(results))])


DRAWINGS = (
    Drawing(
        adoption_against_seconds,
        "adoption_against_seconds",
        "Adoption against device seconds",
        "Up is further, left is cheaper. Each path pays for SFT and every stage after it.",
        (
            (sft_is_given, "SFT was given, so its part is a load and a save."),
            (_has_intervals, "Bars are 95 % intervals."),
            (_has_seeds, "A small dot is one seed."),
        ),
    ),
    Drawing(
        adoption_against_kl,
        "adoption_against_kl",
        "Adoption against KL, with the floor curve",
        "No policy can be in the grey region: its edge is the least KL at the mean base rate p0.",
        (
            (
                _has_floors,
                "A vertical tick is the method's own floor, averaged over prompts, which is at "
                "least as tight. The closer a marker is to its tick, the less drift was spent on "
                "anything else.",
            ),
            (_has_seeds, "A small dot is one seed."),
        ),
    ),
    Drawing(
        training_paths,
        "training_paths",
        "The way there: adoption and KL while training",
        "From the SFT model to the last probe; a probe asks the same harness on held-out prompts "
        "of its own, and a line joins probes: nothing was measured in between. Up is wanted, right "
        "is paid for.",
        (
            (
                several_runs,
                "Thin lines are runs, one a seed; the thick line with markers is their mean at "
                "each probe, its bars the range over the seeds.",
            ),
        ),
    ),
    Drawing(
        likelihoods,
        "likelihoods",
        "Methods that learn from pairs: likelihoods and loss",
        "Left: log-probability of the chosen and the rejected responses of held-out pairs, less "
        "the reference's. Where both fall, probability went to other responses than these "
        "(likelihood displacement). Right: the loss on the same pairs, as a share of the first "
        "probe's. First seed.",
        (
            (
                adoption_was_probed,
                "Beside the loss: adoption as greedy decoding and as exact probability see it; a "
                "loss near 0 says little of either.",
            ),
        ),
    ),
    Drawing(
        seconds_by_stage,
        "seconds_by_stage",
        "Device seconds by stage and phase",
        "Each bar starts where the stage before it ended; colours are phases.",
        ((_has_seeds, "A bar is the mean over seeds, a black dot the end of one seed's."),),
    ),
    Drawing(
        calibration,
        "calibration",
        "Calibration of the reward model",
        "Held-out pairs by how sure the reward model is of them. On the line it is right as often "
        "as it claims; below, it is over-confident.",
    ),
)


def draw_figures(results: Results, directory: Path) -> list[Drawing]:
    """Save what can be drawn as PNG and SVG into `directory`; return it in reading order."""
    drawn = []
    for drawing in DRAWINGS:
        figure = drawing.draw(results)
        if figure is None:
            continue
        save(figure, directory, drawing.name, drawing.heading)
        drawn.append(drawing)
    return drawn
