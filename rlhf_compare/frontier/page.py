"""The frontier as a page: which is higher where, over-optimisation, then every point."""

from collections.abc import Sequence

from rlhf_compare.evaluation.verdicts import LEAST_SEEDS
from rlhf_compare.frontier.curves import won_ranges
from rlhf_compare.frontier.results import Frontier, OverOptimisation, Pair
from rlhf_compare.metrics import BY_PATH
from rlhf_compare.reporting.escaping import escape_markdown
from rlhf_compare.reporting.method_schema import Estimate
from rlhf_compare.reporting.numbers import format_value
from rlhf_compare.sweeps.grid import value_text
from rlhf_compare.sweeps.markdown import metric_cell, origin_table, runs_words, seconds_text, table

_COLUMNS = (
    "adoption.exact",
    "kl_to_reference.exact",
    "kl_to_reference.efficiency",
    "reward.proxy",
    "reward.held_out",
)
_CAPTIONS = {
    "adoption": "A curve joins the means of one method's settings, a small dot is one seed. The "
    "grey region is out of reach of any policy at the mean p0.",
    "judge": "The reward by the model that no policy was trained against; it may fall while "
    "adoption and the other reward rise.",
    "over_optimisation": "Both rewards less those of SFT, as in Gao et al. 2023. Scores of two "
    "models have no common unit: read where each turns, not which is higher.",
    "training": "What the probe saw while the recipe's own setting trained; its prompts are others "
    "than those of the points.",
}


def page(frontier: Frontier, drawn: Sequence[str]) -> str:
    """Markdown; ``drawn`` names the figures that lie beside it."""
    methods = ", ".join(map(frontier.label, frontier.knobs))
    parts = [f"# Frontiers of {methods}: {frontier.recipe}"]
    parts += [escape_markdown(line) for line in sentences(frontier)]
    for name in drawn:
        parts += [f"![{name.replace('_', ' ')}]({name}.svg)", _caption(frontier, name)]
    for method, field in frontier.knobs.items():
        parts += [f"## {frontier.label(method)} over {field}", _points(frontier, method)]
    parts += ["## By seed", _by_seed(frontier)]
    if frontier.pairs:
        parts += ["## Two frontiers at the same KL", _PAIRS, *_places(frontier)]
    if frontier.over_optimisation:
        parts += ["## Over-optimisation", _ONSET, _onsets(frontier)]
    parts += _yardsticks(frontier)
    parts += ["## What it cost", _costs(frontier)]
    if frontier.reasons:
        rows = list(frontier.reasons.items())
        parts += ["## Failures", table(("setting", "why the first came"), rows)]
    parts += ["## Where the numbers come from", origin_table(frontier.origin)]
    return "\n\n".join(parts) + "\n"


def _caption(frontier: Frontier, name: str) -> str:
    """How to read a figure; what is not drawn is not explained."""
    text = _CAPTIONS[name]
    if name == "adoption" and frontier.optimum:
        text += (
            " Crosses: the optimum of reward less the knob times KL, if adopting is all that the "
            "reward pays for."
        )
    if name == "adoption" and frontier.yardstick:
        text += " Squares: best of n, at the most KL that it can have."
    return text


_PAIRS = (
    "A frontier is the best value that any setting reached with at most that KL, linear between "
    "settings, and compared inside the range of both alone; settings with a failed or collapsed "
    "seed are left out. Intervals are over seeds (Student's t). The verdict rests on the mean over "
    "the range; a single KL is taken alone, without adjustment for the others."
)
_ONSET = (
    "The peak is the setting with the highest mean reward by the judge; its √KL has an interval "
    "over the seeds' own peaks. An onset is named where the judge's reward falls from the peak to "
    "the furthest setting (p adjusted for the choice of the peak among settings) while the proxy's "
    "rises. It is no finer than the spacing of the settings."
)


def sentences(frontier: Frontier) -> list[str]:
    """The outcome in plain words, each sentence with its condition."""
    lines = [_pair_sentence(frontier, pair) for pair in frontier.pairs]
    compared = {frozenset((pair.a, pair.b)) for pair in frontier.pairs}
    methods = list(frontier.knobs)
    for place, a in enumerate(methods):
        for b in methods[place + 1 :]:
            if frozenset((a, b)) not in compared:
                lines.append(
                    f"{frontier.label(a)} and {frontier.label(b)} are not compared: their settings "
                    "have no stretch of KL in common under shared seeds."
                )
    lines += [
        _onset_sentence(frontier.label(m), one) for m, one in frontier.over_optimisation.items()
    ]
    total = sum(_spent(frontier).values())
    lines.append(f"The sweep held the device for {seconds_text(total)} s.")
    return lines


def _pair_sentence(frontier: Frontier, pair: Pair) -> str:
    a, b, value = frontier.label(pair.a), frontier.label(pair.b), BY_PATH[pair.value].prose
    where = f"Between {pair.low:.2f} and {pair.high:.2f} nats"
    ahead, behind = (a, b) if pair.mean > 0 else (b, a)
    if pair.interval is None:
        count = {1: "one seed", 2: "two seeds"}[len(pair.seeds)]
        return (
            f"{where}, {count}: a direction, no verdict: {ahead} reached {abs(pair.mean):.3f} more "
            f"{value} than {behind} in the mean over that range."
        )
    low, high = sorted(abs(end) for end in pair.interval)
    numbers = f"{pair.mean:+.3f} [{pair.interval[0]:+.3f}, {pair.interval[1]:+.3f}]"
    if pair.interval[0] <= 0.0 <= pair.interval[1]:
        text = (
            f"{where}, no difference of the frontiers in {value} is shown: {a} less {b} "
            f"{numbers} in the mean over that range, {len(pair.seeds)} seeds; a difference over "
            f"{high:.3f} is excluded."
        )
    else:
        text = (
            f"{where}, {ahead}'s frontier is higher than {behind}'s in {value} by "
            f"{abs(pair.mean):.3f} [{low:.3f}, {high:.3f}] in the mean over that range, "
            f"{len(pair.seeds)} seeds."
        )
    return text + _ranges(frontier, pair)


def _ranges(frontier: Frontier, pair: Pair) -> str:
    """At which KL, each taken alone, one of the two is higher."""
    places = [place.model_dump() for place in pair.places]
    parts = []
    for name, sign in ((pair.a, 1), (pair.b, -1)):
        found = won_ranges(places, sign)
        if found:
            listed = ", ".join(f"{low:.2f} to {high:.2f}" for low, high in found)
            parts.append(f"{frontier.label(name)} from {listed} nats")
    return f" Each KL alone: {'; '.join(parts)} is higher." if parts else ""


def _onset_sentence(name: str, found: OverOptimisation) -> str:
    reach = f"√KL {found.reach:.2f}"
    if found.verdict == "undecided":
        return (
            f"{name}: fewer than {LEAST_SEEDS} seeds, so no verdict on over-optimisation; the "
            f"judge's reward is highest at √KL {found.peak:.2f} of {found.reach:.2f}."
        )
    if found.verdict == "none":
        return f"{name}: no onset of over-optimisation within the range, which ends at {reach}."
    between = found.peak_interval
    interval = f" [{between[0]:.2f}, {between[1]:.2f}]" if between else ""
    if not between:
        inside = sum(peak is not None for peak in found.peaks)
        interval = f" ({inside} of {len(found.peaks)} seeds have their peak inside the range)"
    if found.verdict == "both fall":
        return (
            f"{name}: from √KL {found.peak:.2f}{interval} on the judge's reward falls, and the "
            "proxy's does not rise: more drift is a loss by both, and no over-optimisation of the "
            "proxy is shown."
        )
    return (
        f"{name}: over-optimisation sets in at √KL {found.peak:.2f}{interval}, beyond which "
        f"the judge's reward falls by {_estimate(found.fall)} up to {reach}, and the proxy's rises "
        f"by {_estimate(found.rise)}."
    )


def _estimate(value: Estimate | None) -> str:
    return str(format_value(value, "number"))


def _points(frontier: Frontier, method: str) -> str:
    field = frontier.knobs[method]
    points = [point for point in frontier.points if point.method == method]
    paths = [p for p in _COLUMNS if any(point.metrics.get(p) is not None for point in points)]
    head = [field, *(BY_PATH[path].prose for path in paths), "seeds", "seconds"]
    rows = []
    for point in points:
        own = " (the recipe's)" if point.values[field] == frontier.own[method] else ""
        seconds = (
            None if point.seconds is None else point.seconds.training + point.seconds.measuring
        )
        cells = [metric_cell(point, path) for path in paths]
        label = f"{value_text(point.values[field])}{own}"
        rows.append([label, *cells, runs_words(point), seconds_text(seconds)])
    return table(head, rows)


def _by_seed(frontier: Frontier) -> str:
    paths = [p for p in _COLUMNS if any(one.metrics.get(p) is not None for one in frontier.points)]
    rows = []
    for point in frontier.points:
        field = frontier.knobs[point.method]
        for place, seed in enumerate(point.seeds):
            values = [
                None if estimate is None else estimate.by_seed[place]
                for estimate in (point.metrics.get(path) for path in paths)
            ]
            cells = ["" if value is None else f"{value:.4g}" for value in values]
            setting = f"{field} {value_text(point.values[field])}"
            rows.append([frontier.label(point.method), setting, seed, *cells])
    return table(["", "setting", "seed", *(BY_PATH[path].prose for path in paths)], rows)


def _places(frontier: Frontier) -> list[str]:
    parts = []
    for pair in frontier.pairs:
        a, b = frontier.label(pair.a), frontier.label(pair.b)
        rows = []
        for place in pair.places[:: max(1, len(pair.places) // 6)]:
            ends = place.interval
            interval = f"[{ends[0]:+.3f}, {ends[1]:+.3f}]" if ends else "no interval"
            rows.append([f"{place.kl:.2f}", f"{place.mean:+.3f}", interval])
        head = ["KL (nats)", f"{BY_PATH[pair.value].prose}: {a} less {b}", "95 % over seeds"]
        parts.append(table(head, rows))
    return parts


def _onsets(frontier: Frontier) -> str:
    rows = []
    for method, found in frontier.over_optimisation.items():
        peaks = ", ".join("at the end" if one is None else f"{one:.2f}" for one in found.peaks)
        rows.append(
            [
                frontier.label(method),
                found.verdict,
                f"{found.peak:.2f} of {found.reach:.2f}",
                peaks,
                _estimate(found.fall),
                _estimate(found.rise),
                "" if found.p_value is None else f"{found.p_value:.3g}",
            ]
        )
    head = (
        "",
        "verdict",
        "√KL at the peak",
        "of each seed",
        "the judge's fall",
        "the proxy's rise",
    )
    return table((*head, "p of the fall"), rows)


def _yardsticks(frontier: Frontier) -> list[str]:
    parts = []
    if frontier.yardstick:
        rows = [[o.n, f"{o.adoption:.4f}", f"{o.kl_bound:.3f}"] for o in frontier.yardstick]
        parts += [
            "## Best of n, computed",
            "The best of n samples of SFT by the behaviour itself: adoption 1 - (1 - p0)^n, mean "
            "over prompts of each prompt's own p0; KL at most log n - (n - 1)/n (Beirami et al. "
            "2024).",
            table(("n", "adoption", "KL at most (nats)"), rows),
        ]
    if frontier.optimum:
        gaps = ", ".join(f"{gap:.2f}" for gap in frontier.reward_gap)
        mean = sum(frontier.reward_gap) / len(frontier.reward_gap)
        rows = [
            [frontier.label(o.method), value_text(o.beta), f"{o.adoption:.4f}", f"{o.kl:.3f}"]
            for o in frontier.optimum
        ]
        parts += [
            "## The optimum, predicted",
            "a\\* = p0 e^(R/β) / (1 - p0 + p0 e^(R/β)) of each prompt's p0, mean over prompts; its "
            "KL is the floor of a\\*. β is the knob's value. R is what adopting is worth to the "
            "reward model that the method was trained against: the mean gap of its scores on "
            "held-out pairs, chosen less rejected (wrong pairs negative, at the mean size of their "
            f"quarter): {mean:.2f}, of the seeds {gaps}. A policy below a\\* has not finished "
            "optimising; KL beyond it went to the content, which the reward may also pay for.",
            table(("", "β", "a*", "KL (nats)"), rows),
        ]
    return parts


def _spent(frontier: Frontier) -> dict[str, float]:
    spent = {f"{name}, shared": seconds for name, seconds in frontier.shared.items()}
    for method in frontier.knobs:
        found = [p.seconds for p in frontier.points if p.method == method and p.seconds is not None]
        spent[f"{frontier.label(method)}, training"] = sum(one.training for one in found)
        spent[f"{frontier.label(method)}, measuring"] = sum(one.measuring for one in found)
    return spent


def _costs(frontier: Frontier) -> str:
    spent = _spent(frontier)
    rows = [(name, seconds_text(seconds)) for name, seconds in spent.items()]
    return table(("stage", "seconds"), [*rows, ("sum", seconds_text(sum(spent.values())))])
