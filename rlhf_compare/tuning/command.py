"""What ``rlhf-compare tune`` does: search, choose, write the log.

Training libraries are imported where they are needed: a mistyped name should not wait for them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlhf_compare.commands import command_line, console, make_pipeline, say
from rlhf_compare.errors import RecipeError
from rlhf_compare.plan import print_plan, seeds_of, stage_labels

if TYPE_CHECKING:
    from rlhf_compare.recipe import Recipe
    from rlhf_compare.recipe_text.sweeps import TuningConfig
    from rlhf_compare.sweeps.grid import Setting

RESULTS, PAGE = "tuning.json", "tuning.md"
SIDE = "tuning"  # of the prompts: those that judge a comparison choose nothing


def run_tuning(
    recipe: Path,
    overrides: Sequence[str] | None,
    runs: Path,
    seeds: str,
    reports: Path,
    dry_run: bool = False,
    fresh: bool = False,
) -> None:
    """Try every setting of the recipe's grids and write ``reports/<recipe>/tuning/``.

    Raises:
        RecipeError: the recipe declares no search, or one that cannot be run.
    """
    wanted, settings = seeds_of(seeds), list["Setting"]()

    def searched(given: "Recipe") -> "Recipe":
        settings.extend(search_of(given))
        return on_the_tuning_side(given, settings)

    pipeline = make_pipeline(recipe, overrides, runs, fresh, searched)
    names = ["sft", *(one.name for one in settings)]
    if dry_run:
        print_plan(pipeline, stage_labels(pipeline, names, wanted))
        return
    from rlhf_compare.sweeps.running import announce, run_settings
    from rlhf_compare.tuning.results import collect_tuning

    announce("search", settings, wanted, say)
    say("prompts and seeds of a search are no others' to judge by: compare under other seeds")
    finished = run_settings(
        pipeline, settings, wanted, "tune", say, _asks_reward(pipeline.recipe, settings)
    )
    tuning = collect_tuning(finished, declared(pipeline.recipe), settings, wanted, command_line())
    _show(tuning)
    page = write_tuning(tuning, reports / pipeline.recipe.name / "tuning")
    say(f"log of the search: {page}")


def declared(recipe: "Recipe") -> "TuningConfig":
    """The search that the recipe declares.

    Raises:
        RecipeError: it declares none.
    """
    if recipe.tuning is None:
        raise RecipeError(
            f"recipe {recipe.name}: no section tuning, which says what is searched; add one, for "
            "instance `tuning: {grids: {dpo: {learning_rate: [1e-5, 1e-4], beta: [0.1, 0.3]}}}`"
        )
    return recipe.tuning


def search_of(recipe: "Recipe") -> list["Setting"]:
    """The settings of the recipe's search.

    Raises:
        RecipeError: none is declared, a value is refused, or nobody could choose among them.
    """
    from rlhf_compare.sweeps.grid import settings_of

    config = declared(recipe)
    if recipe.task.behaviour is None and not recipe.data.judge_share:
        raise RecipeError(
            f"recipe {recipe.name}: the task asks for no behaviour, so the search chooses by the "
            "judge's reward; set data.judge_share, for instance to 0.2"
        )
    settings = settings_of(recipe, config.grids, "tuning.grids")
    if not settings:
        raise RecipeError(
            f"recipe {recipe.name}: tuning.grids names {', '.join(config.grids)}, and the recipe "
            "has a section of none of them"
        )
    return settings


def on_the_tuning_side(recipe: "Recipe", settings: Sequence["Setting"]) -> "Recipe":
    """The recipe whose variants are the settings, measured on the tuning prompts."""
    from rlhf_compare.sweeps.grid import changed, with_settings

    evaluation = recipe.evaluation.model_copy(update={"prompts": SIDE})
    return changed(with_settings(recipe, settings), evaluation=evaluation)


def _asks_reward(recipe: "Recipe", settings: Sequence["Setting"]) -> bool:
    """Whether anything needs a reward model: a method, or the choice."""
    needed = any("reward" in recipe.path(one.name) for one in settings)
    return needed or recipe.task.behaviour is None


def write_tuning(tuning: Any, directory: Path) -> Path:
    """Write the log of a search, its page and its figure."""
    from rlhf_compare.reporting.drawing import save
    from rlhf_compare.reporting.results import write_part
    from rlhf_compare.runs.files import replace_text
    from rlhf_compare.tuning.figure import draw
    from rlhf_compare.tuning.page import FIGURE, page

    directory.mkdir(parents=True, exist_ok=True)
    figure = draw(tuning)
    if figure is not None:
        save(figure, directory, FIGURE, "Every setting of the search")
    write_part(tuning, directory / RESULTS)
    replace_text(directory / PAGE, page(tuning))
    return directory / PAGE


def _show(tuning: Any) -> None:
    """The tables, the outcome and the settings to paste, on the terminal."""
    from rlhf_compare.sweeps.terminal import print_rows
    from rlhf_compare.tuning.page import chosen_yaml, rows, sentences

    for method in tuning.chosen:
        print_rows(tuning.label(method), *rows(tuning, method), console)
    for line in sentences(tuning):
        say(line)
    say(f"settings to write into the recipe:\n{chosen_yaml(tuning)}")
