"""The search as a page and as a table of the terminal: the choice first, then every setting."""

from collections.abc import Sequence
from typing import Any

import yaml

from rlhf_compare.metrics import BY_PATH
from rlhf_compare.reporting.escaping import escape_markdown
from rlhf_compare.sweeps.grid import value_text, words
from rlhf_compare.sweeps.markdown import (
    metric_cell,
    origin_table,
    runs_words,
    seconds_text,
    table,
)
from rlhf_compare.sweeps.points import Point
from rlhf_compare.tuning.choice import JUDGE
from rlhf_compare.tuning.results import Tuning

FIGURE = "settings"
# what the rule reads, each with what stands in for it where a policy is no single model
_KL = ("kl_to_reference.exact", "kl_to_reference.bound")
_BEHAVIOUR = (("adoption.exact", "adoption.sampled"), _KL, ("kl_to_reference.efficiency",))
_PREFERENCE = ((JUDGE,), _KL)


def page(tuning: Tuning) -> str:
    """Markdown; the figure ``settings.svg`` lies beside it where there is one."""
    methods = list(tuning.chosen)
    parts = [
        f"# Settings of {', '.join(map(tuning.label, methods))}: {tuning.recipe}",
        *(escape_markdown(line) for line in sentences(tuning)),
        "## The settings, to be written into the recipe",
        f"```yaml\n{chosen_yaml(tuning)}```",
        "## How they were chosen",
        escape_markdown(f"The rule, the same for every method: {tuning.rule}"),
        escape_markdown(_grid_words(tuning)),
        *_figure(tuning),
    ]
    for method in methods:
        parts += [f"## {tuning.label(method)}: every setting", _settings(tuning, method)]
    parts += ["## By seed", _by_seed(tuning), "## What the search cost", _costs(tuning)]
    if tuning.reasons:
        rows = [(name, why) for name, why in tuning.reasons.items()]
        parts += ["## Failures", table(("setting", "why the first came"), rows)]
    parts += ["## Where the numbers come from", origin_table(tuning.origin)]
    return "\n\n".join(parts) + "\n"


def sentences(tuning: Tuning) -> list[str]:
    """The outcome in plain words: one paragraph a method, then what was not tuned, and the cost."""
    lines = []
    for method, choice in tuning.chosen.items():
        name = tuning.label(method)
        if choice.name is None:
            lines.append(f"{name}: nothing is chosen: {choice.why}.")
            continue
        point = next(point for point in tuning.points if point.name == choice.name)
        numbers = ", ".join(
            f"{BY_PATH[path].prose} {metric_cell(point, path)}"
            for path in _measured(tuning, [point])
        )
        ends = "".join(f" {edge}." for edge in choice.edges)
        lines.append(f"{name}: {words(choice.values)} ({choice.why}): {numbers}.{ends}")
    for method in tuning.untuned:
        lines.append(f"{tuning.label(method)} has no grid in the recipe, so it was not tuned.")
    origin, total = tuning.origin, sum(_spent(tuning).values())
    seeds = f"seed{'s' if len(origin.seeds) > 1 else ''} {' '.join(map(str, origin.seeds))}"
    lines.append(
        f"Measured on {origin.prompts} prompts of the side {origin.prompt_side} under {seeds}: "
        f"prompts and seeds that judge a comparison must be others. The search held the device for "
        f"{seconds_text(total)} s."
    )
    return lines


def chosen_yaml(tuning: Tuning) -> str:
    """The chosen settings as sections of a recipe."""
    chosen: dict[str, Any] = {m: c.values for m, c in tuning.chosen.items() if c.name is not None}
    return str(yaml.safe_dump(chosen, sort_keys=False, allow_unicode=True)) if chosen else "{}\n"


def rows(tuning: Tuning, method: str) -> tuple[list[str], list[list[str]]]:
    """The head and the lines of one method's table."""
    points = tuning.of(method)
    fields = list(points[0].values)
    paths = _measured(tuning, points)
    head = [*fields, *(BY_PATH[path].prose for path in paths), "seeds", "seconds", "chosen"]
    lines = []
    for point in points:
        spent = point.seconds
        total = None if spent is None else spent.training + spent.measuring
        lines.append(
            [
                *(value_text(point.values[field]) for field in fields),
                *(metric_cell(point, path) for path in paths),
                runs_words(point),
                seconds_text(total),
                "chosen" if point.name == tuning.chosen[method].name else "",
            ]
        )
    return head, lines


def _measured(tuning: Tuning, points: Sequence[Point]) -> list[str]:
    """The metrics that the rule reads; one that stands in for another only where that one was not
    measured."""
    found = []
    for alternatives in _BEHAVIOUR if tuning.behaviour else _PREFERENCE:
        measured = [p for p in alternatives if any(one.metrics.get(p) for one in points)]
        found += measured[:1]
    return found


def _settings(tuning: Tuning, method: str) -> str:
    return table(*rows(tuning, method))


def _grid_words(tuning: Tuning) -> str:
    parts = []
    for method, grid in tuning.grids.items():
        values = "; ".join(f"{f} {', '.join(map(value_text, v))}" for f, v in grid.items())
        parts.append(f"{tuning.label(method)} {values}")
    size = len(tuning.of(next(iter(tuning.grids))))
    return f"The grid, {size} settings a method: {'. '.join(parts)}."


def _figure(tuning: Tuning) -> list[str]:
    if not any(point.kl is not None for point in tuning.points):
        return []
    return [f"![Every setting, against its KL]({FIGURE}.svg)"]


def _by_seed(tuning: Tuning) -> str:
    paths = list(dict.fromkeys(p for m in tuning.chosen for p in _measured(tuning, tuning.of(m))))
    lines = []
    for point in tuning.points:
        for place, seed in enumerate(point.seeds):
            cells = [_of_seed(point, path, place) for path in paths]
            lines.append([tuning.label(point.method), words(point.values), seed, *cells])
    return table(["", "setting", "seed", *(BY_PATH[path].prose for path in paths)], lines)


def _of_seed(point: Point, path: str, place: int) -> str:
    estimate = point.metrics.get(path)
    value = None if estimate is None else estimate.by_seed[place]
    return "" if value is None else f"{value:.4g}"


def _spent(tuning: Tuning) -> dict[str, float]:
    """What -> device seconds: shared stages, then the settings of each method."""
    spent = {f"{name}, shared": seconds for name, seconds in tuning.shared.items()}
    for method in tuning.chosen:
        found = [point.seconds for point in tuning.of(method) if point.seconds is not None]
        spent[f"{tuning.label(method)}, training"] = sum(one.training for one in found)
        spent[f"{tuning.label(method)}, measuring"] = sum(one.measuring for one in found)
    return spent


def _costs(tuning: Tuning) -> str:
    spent = _spent(tuning)
    lines = [(name, seconds_text(seconds)) for name, seconds in spent.items()]
    total = [("sum", seconds_text(sum(spent.values())))]
    note = (
        "Seconds that the device was held, all settings and seeds. A shared stage is counted once, "
        "though each path pays for it; the seconds of a run that failed are not in it."
    )
    return f"{table(('stage', 'seconds'), [*lines, *total])}\n\n{note}"
