"""What ``rlhf-compare frontier`` does: every knob's values, then the page.

Training libraries are imported where they are needed: a mistyped name should not wait for them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlhf_compare.commands import command_line, make_pipeline, say
from rlhf_compare.errors import RecipeError
from rlhf_compare.plan import print_plan, seeds_of, stage_labels

if TYPE_CHECKING:
    from rlhf_compare.recipe import Recipe
    from rlhf_compare.sweeps.grid import Setting

RESULTS, PAGE = "frontier.json", "frontier.md"


def run_frontier(
    recipe: Path,
    overrides: Sequence[str] | None,
    runs: Path,
    seeds: str,
    reports: Path,
    dry_run: bool = False,
    fresh: bool = False,
) -> None:
    """Turn every method's knob and write ``reports/<recipe>/frontier/``.

    Raises:
        RecipeError: the recipe names no knob, or one that cannot be turned.
    """
    wanted, settings = seeds_of(seeds), list["Setting"]()

    def turned(given: "Recipe") -> "Recipe":
        from rlhf_compare.sweeps.grid import with_settings

        settings.extend(knob_settings(given))
        return with_settings(given, settings)

    pipeline = make_pipeline(recipe, overrides, runs, fresh, turned)
    if dry_run:
        names = ["sft", *(one.name for one in settings)]
        print_plan(pipeline, stage_labels(pipeline, names, wanted))
        return
    from rlhf_compare.frontier.page import sentences
    from rlhf_compare.frontier.results import collect_frontier
    from rlhf_compare.sweeps.running import announce, run_settings

    announce("frontier", settings, wanted, say)
    finished = run_settings(pipeline, settings, wanted, "frontier", say, with_reward=True)
    knobs = {one.method: next(iter(one.values)) for one in settings}
    frontier = collect_frontier(finished, settings, knobs, wanted, command_line())
    page = write_frontier(frontier, reports / pipeline.recipe.name / "frontier")
    for line in sentences(frontier):
        say(line)
    say(f"frontier: {page}")


def knob_settings(recipe: "Recipe") -> list["Setting"]:
    """Every value of every knob, the recipe's own among them, in the order of the values.

    Raises:
        RecipeError: no knob is named, no method has a section, or a value is refused.
    """
    from rlhf_compare.sweeps.grid import settings_of

    if recipe.frontier is None:
        raise RecipeError(
            f"recipe {recipe.name}: no section frontier, which names a knob a method; add one, for "
            "instance `frontier: {knobs: {ppo: {kl_coef: [0.05, 0.2]}, dpo: {beta: [0.1, 0.3]}}}`"
        )
    grids = {
        method: {field: _with_own(recipe, method, field, values) for field, values in knob.items()}
        for method, knob in recipe.frontier.knobs.items()
        if method in recipe.methods
    }
    if not grids:
        raise RecipeError(
            f"recipe {recipe.name}: frontier.knobs names {', '.join(recipe.frontier.knobs)}, and "
            "the recipe has a section of none of them"
        )
    return settings_of(recipe, grids, "frontier.knobs")


def _with_own(recipe: "Recipe", method: str, field: str, values: Sequence[Any]) -> list[Any]:
    """The values with the recipe's own, in order where they are numbers."""
    own = recipe.section(method).value(field)
    numbers = [_number(value) for value in values]
    if own is None or not all(isinstance(one, float | int) for one in [own, *numbers]):
        return list(values)
    return sorted(numbers if own in numbers else [own, *numbers])


def _number(value: Any) -> Any:
    """YAML reads 1e-3 as text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def write_frontier(frontier: Any, directory: Path) -> Path:
    """Write the numbers, the page and its figures."""
    from rlhf_compare.frontier.figures import DRAWINGS
    from rlhf_compare.frontier.page import page
    from rlhf_compare.reporting.drawing import save
    from rlhf_compare.reporting.results import write_part
    from rlhf_compare.runs.files import replace_text

    directory.mkdir(parents=True, exist_ok=True)
    drawn = []
    for name, (draw, heading) in DRAWINGS.items():
        figure = draw(frontier)
        if figure is not None:
            save(figure, directory, name, heading)
            drawn.append(name)
    write_part(frontier, directory / RESULTS)
    replace_text(directory / PAGE, page(frontier, drawn))
    return directory / PAGE
