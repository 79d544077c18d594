"""``tuning.json``: all that a search measured, and what it chose."""

from pathlib import Path
from typing import Any, Literal

from rlhf_compare.finished import Finished
from rlhf_compare.recipe_text.sweeps import TuningConfig
from rlhf_compare.reporting.method_schema import Estimate
from rlhf_compare.reporting.results import load, parse
from rlhf_compare.reporting.schema_types import DottedPath, Name, Part, Seconds, Text
from rlhf_compare.sweeps.grid import Setting
from rlhf_compare.sweeps.points import (
    Origin,
    Point,
    measurements,
    metrics_of,
    origin_of,
    points_of,
    shared_seconds,
)
from rlhf_compare.tuning.choice import choose, edges, rule


class Choice(Part):
    """What the rule takes for one method.

    name    of the chosen point; None where no setting was sound
    edges   a sentence for each field whose chosen value is at an end of its grid
    """

    name: Name | None
    values: dict[str, Any]
    why: Text
    edges: list[Text]


class Tuning(Part):
    """The whole search.

    labels     method -> what the report calls its column
    grids      method -> field -> values, as the recipe gives them
    untuned    methods of the recipe without a grid
    sft        what all start from, by metric
    shared     stage -> device seconds of what all settings share, each counted once
    points     every setting, in the order of the search
    chosen     method -> its choice
    reasons    setting -> why its first failure came
    """

    schema_version: Literal[1]
    recipe: Name
    origin: Origin
    behaviour: bool
    kl_budget: float
    adoption: float
    rule: Text
    labels: dict[Name, Text]
    grids: dict[Name, dict[str, list[Any]]]
    untuned: list[Name]
    sft: dict[DottedPath, Estimate | None]
    shared: dict[Name, Seconds]
    points: list[Point]
    chosen: dict[Name, Choice]
    reasons: dict[Name, Text]

    def label(self, method: str) -> str:
        """What the report calls a method's column."""
        return self.labels[method]

    def of(self, method: str) -> list[Point]:
        """The settings of one method."""
        return [point for point in self.points if point.method == method]


def collect_tuning(
    finished: Finished,
    config: TuningConfig,
    settings: list[Setting],
    seeds: list[int],
    command: str,
) -> Tuning:
    """Read the finished stages and choose.

    Raises:
        ResultsError: a number that was measured breaks the contract.
    """
    recipe = finished.recipe
    measured = measurements(finished)
    points = points_of(finished, settings, measured)
    methods = list(dict.fromkeys(one.method for one in settings))
    behaviour = recipe.task.behaviour is not None
    return parse(
        Tuning,
        {
            "schema_version": 1,
            "recipe": recipe.name,
            "origin": origin_of(finished, command, seeds),
            "behaviour": behaviour,
            "kl_budget": config.kl_budget,
            "adoption": config.adoption,
            "rule": rule(config, behaviour),
            "labels": {name: recipe.label(name) for name in recipe.methods},
            "grids": {
                method: {field: _tried(points, method, field) for field in config.grids[method]}
                for method in methods
            },
            "untuned": [name for name in recipe.methods[1:] if recipe.base(name) not in methods],
            "sft": metrics_of(list(measured["sft"].values()), one_run=True),
            "shared": shared_seconds(finished, seeds),
            "points": points,
            "chosen": {
                method: _choice([p for p in points if p.method == method], config, behaviour)
                for method in methods
            },
            "reasons": {
                name: why for name, why in finished.reasons.items() if name in finished.failed
            },
        },
    )


def _tried(points: list[Point], method: str, field: str) -> list[Any]:
    """The values of one field, once each, as the method's section holds them."""
    return list(dict.fromkeys(point.values[field] for point in points if point.method == method))


def _choice(points: list[Point], config: TuningConfig, behaviour: bool) -> Choice:
    chosen, why = choose(points, config, behaviour)
    return Choice(
        name=None if chosen is None else chosen.name,
        values={} if chosen is None else chosen.values,
        why=why,
        edges=[] if chosen is None else edges(chosen, points),
    )


def load_tuning(path: Path) -> Tuning:
    """Read and check a ``tuning.json``.

    Raises:
        ResultsError: it is missing or breaks the contract.
    """
    return load(Tuning, path, "run `rlhf-compare tune` first")
