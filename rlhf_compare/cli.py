"""The command line: ``rlhf-compare <verb> --recipe FILE section.field=value ...``.

Exit codes: 0 done, 1 failed, 2 usage or recipe, 75 stopped with a checkpoint to go on from,
130 and 143 ended by Ctrl-C and SIGTERM.
"""

import logging
import shlex
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from rlhf_compare.data.config import MAX_SEED
from rlhf_compare.errors import StageFailedError, StageStoppedError, UserError
from rlhf_compare.runs.stopping import end_at_once

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="RLHF with PPO, or DPO? Train both from one SFT model, measure both, read one page.",
    pretty_exceptions_enable=False,
)
console = Console()

RecipeOption = Annotated[Path, typer.Option("--recipe", help="YAML file: one experiment.")]
SeedsOption = Annotated[str, typer.Option("--seeds", help='Seeds of the methods, "0 1 2".')]
RunsOption = Annotated[Path, typer.Option("--runs", help="Where stages write.")]
ReportsOption = Annotated[Path, typer.Option("--reports", help="Where reports go.")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[SECTION.FIELD=VALUE]...")]

DEFAULT_RECIPE = Path("recipes/tiny.yaml")


@app.command()
def compare(
    recipe: RecipeOption = DEFAULT_RECIPE,
    seeds: SeedsOption = "0",
    runs: RunsOption = Path("runs"),
    reports: ReportsOption = Path("reports"),
    dry_run: Annotated[bool, typer.Option(help="Print the resolved plan and stop.")] = False,
    overrides: Overrides = None,
) -> None:
    """Train PPO and DPO from one SFT model, measure both, write the report."""
    pipeline = _pipeline(recipe, overrides, runs)
    if dry_run:
        _print_plan(pipeline, _seeds(seeds))
        return
    _measure_and_report(pipeline, pipeline.recipe.methods, _seeds(seeds), reports)


@app.command()
def ppo(
    recipe: RecipeOption = DEFAULT_RECIPE,
    seeds: SeedsOption = "0",
    runs: RunsOption = Path("runs"),
    overrides: Overrides = None,
) -> None:
    """Run what PPO needs (SFT, reward model, PPO) and print its row of the table."""
    pipeline = _pipeline(recipe, overrides, runs)
    _measure_and_report(pipeline, _methods(pipeline.recipe, "ppo"), _seeds(seeds), None)


@app.command()
def dpo(
    recipe: RecipeOption = DEFAULT_RECIPE,
    seeds: SeedsOption = "0",
    runs: RunsOption = Path("runs"),
    overrides: Overrides = None,
) -> None:
    """Run what DPO needs (SFT, DPO) and print its row of the table."""
    pipeline = _pipeline(recipe, overrides, runs)
    _measure_and_report(pipeline, _methods(pipeline.recipe, "dpo"), _seeds(seeds), None)


@app.command()
def data(
    recipe: RecipeOption = DEFAULT_RECIPE,
    runs: RunsOption = Path("runs"),
    reports: ReportsOption = Path("reports"),
    overrides: Overrides = None,
) -> None:
    """Prepare the data and show them: rows dropped and why, lengths, examples with their masks."""
    pipeline = _pipeline(recipe, overrides, runs)
    from rlhf_compare.data.show import show_examples, show_report
    from rlhf_compare.data.store import DataDirectory
    from rlhf_compare.models.tokenizer import load_tokenizer
    from rlhf_compare.reporting.data_figure import draw_lengths
    from rlhf_compare.runs.directory import write_json

    prepared = DataDirectory(pipeline.data().directory.path)
    report = prepared.report()
    show_report(report, console)
    tokenizer = load_tokenizer(prepared.tokenizer)
    show_examples(prepared.train(), tokenizer, console, seed=pipeline.recipe.seed)
    directory = reports / pipeline.recipe.name / "data"
    figures = draw_lengths(report, directory)
    write_json(directory / "data_report.json", report)
    _say(f"lengths: {figures[0]}; all counts: {directory / 'data_report.json'}")


@app.command()
def sft(
    recipe: RecipeOption = DEFAULT_RECIPE,
    runs: RunsOption = Path("runs"),
    overrides: Overrides = None,
) -> None:
    """Train the SFT model that both methods start from."""
    _pipeline(recipe, overrides, runs).sft()


@app.command()
def reward(
    recipe: RecipeOption = DEFAULT_RECIPE,
    seeds: SeedsOption = "0",
    runs: RunsOption = Path("runs"),
    overrides: Overrides = None,
) -> None:
    """Train the reward model and print what the doctor found in it."""
    pipeline = _pipeline(recipe, overrides, runs)
    from rlhf_compare.reporting.terminal import print_doctor
    from rlhf_compare.reward.stage import read_diagnosis

    for seed in _seeds(seeds):
        diagnosis = read_diagnosis(pipeline.reward(seed).directory)
        print_doctor(diagnosis.as_dict()["checks"], seed, console=console)


@app.command()
def evaluate(
    recipe: RecipeOption = DEFAULT_RECIPE,
    seeds: SeedsOption = "0",
    runs: RunsOption = Path("runs"),
    overrides: Overrides = None,
) -> None:
    """Measure SFT, PPO and DPO with one harness, training what is missing, and print the table."""
    pipeline = _pipeline(recipe, overrides, runs)
    _measure_and_report(pipeline, pipeline.recipe.methods, _seeds(seeds), None)


@app.command()
def report(
    results: Annotated[
        Path | None, typer.Option(help="A results.json; default: the recipe's own.")
    ] = None,
    recipe: RecipeOption = DEFAULT_RECIPE,
    reports: ReportsOption = Path("reports"),
) -> None:
    """Draw the report again from a results.json; trains and measures nothing."""
    from rlhf_compare.recipe import load_recipe
    from rlhf_compare.reporting.report import write_report
    from rlhf_compare.reporting.results import load_results

    source = results or reports / load_recipe(recipe).name / "results.json"
    page = write_report(load_results(source), source.parent)
    console.print(f"report: {page}", soft_wrap=True)


def _methods(recipe: Any, base: str) -> list[str]:
    """SFT, a method and its variants."""
    return [name for name in recipe.methods if recipe.base(name) in ("sft", base)]


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(part) for part in text.replace(",", " ").split()]
    except ValueError as error:
        raise UserError(f'--seeds: {text!r}: write whole numbers, for instance "0 1 2"') from error
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds: {text!r}: give different whole numbers, none below 0")
    if max(seeds) > MAX_SEED:
        raise UserError(f"--seeds: {max(seeds)}: no seed may be over {MAX_SEED}")
    return seeds


def _pipeline(recipe: Path, overrides: Sequence[str] | None, runs: Path) -> Any:
    # training libraries take seconds to load; `--help` and a mistyped verb should not
    with console.status("loading"):
        from rlhf_compare.pipeline import Pipeline
        from rlhf_compare.recipe import load_recipe

    _quiet()
    return Pipeline(load_recipe(recipe, overrides or ()), runs, say=_say)


def _say(line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _quiet() -> None:
    """Leave the screen to one bar a stage and to our own lines."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", message=".*pin_memory.*")
    logging.basicConfig(format="%(message)s", level=logging.WARNING)


def _measure_and_report(
    pipeline: Any, methods: Sequence[str], seeds: Sequence[int], reports: Path | None
) -> None:
    """Run, print the table, and write the report where one is asked for."""
    from rlhf_compare.reporting.report import write_report
    from rlhf_compare.reporting.results import validate
    from rlhf_compare.reporting.terminal import print_table
    from rlhf_compare.results import collect_results

    pipeline.check()
    evaluations = pipeline.compare(methods, seeds, with_reward="ppo" in methods)
    results = collect_results(pipeline, evaluations, shlex.join(["rlhf-compare", *sys.argv[1:]]))
    validate(results)
    print_table(results, console=console)
    if reports is not None:
        page = write_report(results, reports / pipeline.recipe.name)
        _say(f"report: {page}")
    lost = [method for method in methods if method not in evaluations]
    if lost:
        why = "; ".join(f"{method} failed: {pipeline.reasons[method]}" for method in lost)
        raise StageFailedError(why)


def _print_plan(pipeline: Any, seeds: Sequence[int]) -> None:
    """The resolved recipe and what would run where; touches neither network nor disk."""
    import yaml

    recipe = pipeline.recipe
    print(yaml.safe_dump(recipe.resolved(), sort_keys=False, allow_unicode=True))
    hub = [f"{kind} {name}" for kind, name in _hub_ids(recipe)]
    print(f"# from the hub: {', '.join(hub) or 'nothing'}")
    print(f"# run directories, under {pipeline.root}:")
    print("#   data")
    for stage in dict.fromkeys(s for method in recipe.methods for s in pipeline.path(method)):
        labels = [stage] if stage == "sft" else [f"{stage}-{seed}" for seed in seeds]
        print(f"#   {' '.join(labels)}")
    for method in recipe.methods:
        print(f"#   {' '.join(f'evaluate-{method}-{seed}' for seed in seeds)}")


def _hub_ids(recipe: Any) -> list[tuple[str, str]]:
    sources = [("data", source.hub_id) for source in recipe.data.all_sources]
    ids = [("model", recipe.model.hub_id), *sources]
    return [(kind, name) for kind, name in ids if name]


def main() -> None:
    """Entry point: turns errors that a person caused into one line and an exit code."""
    signal.signal(signal.SIGTERM, end_at_once)
    try:
        app()
    except StageStoppedError as stop:
        print(stop, file=sys.stderr)
        sys.exit(stop.exit_code)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except SystemExit as stop:
        if stop.code in (130, 143):  # 130: what typer makes of a KeyboardInterrupt
            print(
                "interrupted: finished stages are kept, the same command goes on", file=sys.stderr
            )
        raise


if __name__ == "__main__":
    main()
