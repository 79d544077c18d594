"""What the verbs of the command line share: from a recipe's file to a pipeline that passed the
checks, and from the pipeline to a table and a report."""

import logging
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from rlhf_compare.errors import RecipeError, StageFailedError
from rlhf_compare.methods import METHODS
from rlhf_compare.plan import print_plan, seeds_of, stage_labels
from rlhf_compare.recipe_text.reading import check_names

if TYPE_CHECKING:
    from rlhf_compare.recipe import Recipe

console = Console()


def run_methods(
    recipe: Path,
    overrides: Sequence[str] | None,
    runs: Path,
    seeds: str,
    dry_run: bool,
    base: str | None = None,
    reports: Path | None = None,
    fresh: bool = False,
    sensitivity: bool = False,
) -> None:
    """What the verbs that train methods share.

    Args:
        base: run this method and its variants alone; None = all methods.
        reports: where the report goes; None = print the table alone.
        fresh: see :class:`Pipeline`.
        sensitivity: see :mod:`rlhf_compare.sensitivity`.
    """
    wanted = seeds_of(seeds)
    change = _with_other_rates if sensitivity else _unchanged
    pipeline = make_pipeline(recipe, overrides, runs, fresh, change)
    methods = _chosen(pipeline.recipe, base)
    if dry_run:
        print_plan(pipeline, stage_labels(pipeline, methods, wanted))
        return
    _measure_and_report(pipeline, methods, wanted, reports)


def prepare_data(
    recipe: Path, overrides: Sequence[str] | None, runs: Path, reports: Path, dry_run: bool
) -> None:
    """Prepare the data, print what they are, and draw their lengths."""
    pipeline = make_pipeline(recipe, overrides, runs)
    if dry_run:
        print_plan(pipeline, ["data"])
        return
    from rlhf_compare.data.show import show_examples, show_report
    from rlhf_compare.data.store import DataDirectory
    from rlhf_compare.models.tokenizer import load_tokenizer
    from rlhf_compare.reporting.data_figure import draw_lengths
    from rlhf_compare.runs.files import write_json

    prepared = DataDirectory(pipeline.data(say_rows=False).directory.path)
    report = prepared.report()
    show_report(report, console)
    tokenizer = load_tokenizer(prepared.tokenizer)
    show_examples(prepared.train(), tokenizer, console, seed=pipeline.recipe.seed)
    directory = reports / pipeline.recipe.name / "data"
    figures = draw_lengths(report["lengths"], directory)
    write_json(directory / "data_report.json", report)
    say(f"lengths: {figures[0]}; all counts: {directory / 'data_report.json'}")


def _chosen(recipe: Any, base: str | None) -> list[str]:
    """The columns of one method with SFT's, or of all.

    Raises:
        RecipeError: the recipe has no such section.
    """
    chosen = [m for m in recipe.methods if base is None or recipe.base(m) in ("sft", base)]
    if len(chosen) == 1:
        wanted = [base] if base else METHODS
        sections = " or ".join(f"{name}: {{}}" for name in wanted)
        raise RecipeError(
            f"recipe {recipe.name}: no section {' or '.join(wanted)}, so there is nothing to train "
            f"after SFT; add one (`{sections}` takes every default)"
        )
    return chosen


def _unchanged(recipe: Any) -> Any:
    return recipe


def _with_other_rates(recipe: Any) -> Any:
    from rlhf_compare.sensitivity import with_other_rates

    return with_other_rates(recipe)


def make_pipeline(
    recipe: Path,
    overrides: Sequence[str] | None,
    runs: Path,
    fresh: bool = False,
    change: Callable[[Any], Any] = _unchanged,
) -> Any:
    """The pipeline of a recipe that passed the preflight.

    Args:
        change: the loaded recipe -> the one that is run, for instance with other variants.
    """
    loaded = change(open_recipe(recipe, overrides))
    from rlhf_compare.pipeline import Pipeline

    pipeline = Pipeline(loaded, runs, say=say, fresh=fresh)
    pipeline.check()
    return pipeline


def open_recipe(
    recipe: Path, overrides: Sequence[str] | None, screen: Console = console
) -> "Recipe":
    """Read a recipe, and what runs it: its names first, because training libraries take seconds to
    load and a typo none.

    Args:
        screen: shows that they load.

    Raises:
        RecipeError: see :func:`rlhf_compare.recipe.load_recipe`.
    """
    check_names(recipe, overrides or ())
    with screen.status("loading"), _without("WANDB_MODE"):
        from rlhf_compare.recipe import load_recipe

    _quiet()
    return load_recipe(recipe, overrides or ())


@contextmanager
def _without(variable: str) -> Iterator[None]:
    """transformers prints a line as it is imported where WANDB_MODE says offline."""
    value = os.environ.pop(variable, None)
    try:
        yield
    finally:
        if value is not None:
            os.environ[variable] = value


def say(line: str) -> None:
    """Print a line for the user, as it is."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def command_line() -> str:
    """What the user typed, so that the numbers can be had again."""
    return shlex.join(["rlhf-compare", *sys.argv[1:]])


def _quiet() -> None:
    """Leave the screen to one bar a stage and to our own lines."""
    from datasets import disable_progress_bars
    from transformers.utils import logging as transformers_logging

    disable_progress_bars()  # "Map", "Filter": one bar a stage is ours
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", message=".*pin_memory.*")
    logging.basicConfig(format="%(message)s", level=logging.WARNING)


def _measure_and_report(
    pipeline: Any, methods: Sequence[str], seeds: Sequence[int], reports: Path | None
) -> None:
    """Run, print the table, and write the report where one is asked for."""
    from rlhf_compare.asking import ask_judge
    from rlhf_compare.collect import collect_results
    from rlhf_compare.reporting.report import write_report
    from rlhf_compare.reporting.terminal import print_table
    from rlhf_compare.sensitivity import columns

    needs = {stage for name in methods for stage in pipeline.recipe.path(name)}
    evaluations = pipeline.compare(methods, seeds, with_reward="reward" in needs)
    finished = ask_judge(pipeline.finished(evaluations), pipeline.root, say, pipeline.fresh)
    results = collect_results(finished, command_line())
    print_table(results, console=console)
    if reports is not None:
        page = write_report(results, reports / pipeline.recipe.name)
        say(f"report: {page}")
    lost = [m for m in columns(pipeline.recipe, methods) if m not in evaluations]
    if lost:
        why = "; ".join(f"{method} failed: {pipeline.reasons[method]}" for method in lost)
        raise StageFailedError(why)
