"""What choosing flattered: a search's numbers for the settings it chose, less those of fresh seeds.

A search picks the best of many noisy numbers, so that the numbers of its choice are too good by
some luck. Prompts and seeds of the search are others than those of the fresh results, so the
intervals hold the luck of both.
"""

from pathlib import Path
from typing import Any

from rlhf_compare.errors import UserError
from rlhf_compare.metrics import Metric
from rlhf_compare.replication.changes import excluded, headlines
from rlhf_compare.replication.intervals import LEAST_SEEDS, of_estimates
from rlhf_compare.replication.results import Change, Difference, Kind
from rlhf_compare.reporting.evidence import unit_of
from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.method_schema import Estimate
from rlhf_compare.reporting.recipe_facts import section
from rlhf_compare.reporting.schema import Results
from rlhf_compare.sweeps.grid import words
from rlhf_compare.tuning.results import Tuning


def require_same_recipe(tuning: Tuning, fresh: Results, tuning_file: Path) -> None:
    """Raises UserError where the search is of another recipe."""
    if tuning.recipe != fresh.recipe.name:
        raise UserError(
            f"{tuning_file}: a search of recipe {tuning.recipe}, and the fresh results are of "
            f"{fresh.recipe.name}; give the log of that recipe's search, or none"
        )


def tuned_less_fresh(tuning: Tuning, fresh: Results) -> tuple[list[Change], list[str]]:
    """Rows of the methods whose chosen setting the fresh seeds ran, and why others have none."""
    rows, notes = [], []
    for method, choice in tuning.chosen.items():
        if method not in fresh.methods:
            continue
        label = label_of(fresh, method)
        own = _own(fresh, method, choice.values)
        if choice.name is None:
            notes.append(f"The search chose no setting for {label}.")
        elif own != choice.values:
            notes.append(
                f"{label} has no tuned-minus-fresh: the search chose {words(choice.values)}, and "
                f"the fresh seeds ran {words(own) or 'none of these fields as the recipe says'}."
            )
        else:
            point = next(one for one in tuning.points if one.name == choice.name)
            for metric in headlines(fresh):
                tuned, now = (
                    point.metrics.get(metric.path),
                    fresh.methods[method].estimate(metric.path),
                )
                if tuned is not None and now is not None:
                    rows.append(_row(label, method, metric, tuned, now))
    return rows, notes


def _own(results: Results, method: str, chosen: dict[str, Any]) -> dict[str, Any]:
    """What the recipe says of the fields that were searched."""
    settings = section(results, method)
    return {field: settings[field] for field in chosen if field in settings}


def _row(label: str, method: str, metric: Metric, tuned: Estimate, fresh: Estimate) -> Change:
    difference, kind, verdict = _compared(metric, tuned, fresh)
    return Change(
        of=label,
        methods=[method],
        what=metric.prose,
        unit=unit_of(metric),
        style=metric.style,
        before=tuned,
        fresh=fresh,
        difference=difference,
        kind=kind,
        verdict=verdict,
    )


def _compared(metric: Metric, tuned: Estimate, fresh: Estimate) -> tuple[Difference, Kind, str]:
    distance = tuned.mean - fresh.mean
    ends = of_estimates(tuned, fresh) if min(tuned.seeds, fresh.seeds) >= LEAST_SEEDS else None
    if ends is None:
        none = Difference(mean=distance, low=None, high=None, p_value=None)
        return none, "not decided", "not decided: fewer than three seeds on a side"
    difference = Difference(mean=distance, low=ends[0], high=ends[1], p_value=None)
    if ends[0] <= 0.0 <= ends[1]:
        return difference, "no difference", excluded(difference, metric)
    flattered = (distance > 0) == (metric.better == "higher")
    verdict = "flattered: worse under the fresh seeds" if flattered else "better under fresh seeds"
    return difference, "differs", verdict
