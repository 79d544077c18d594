"""The command line: ``rlhf-compare <verb> --recipe FILE section.field=value ...``.

Exit codes: 0 done, 1 failed, 2 usage or recipe, 75 stopped with a checkpoint to go on from,
130 and 143 ended by Ctrl-C and SIGTERM.
"""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from rlhf_compare import __version__
from rlhf_compare.answers.command import ask
from rlhf_compare.commands import console, make_pipeline, prepare_data, run_methods, say
from rlhf_compare.errors import EndedByUser, StageStoppedError, UserError
from rlhf_compare.fetching import fetch_models
from rlhf_compare.methods import METHODS
from rlhf_compare.options import (
    DEFAULT_RECIPE,
    DryRun,
    Fresh,
    Overrides,
    RecipeOption,
    ReportsOption,
    RunsOption,
    SeedsOption,
)
from rlhf_compare.plan import print_plan, seeds_of
from rlhf_compare.recipe_text.overrides import expand
from rlhf_compare.recipe_text.reading import check_names
from rlhf_compare.recipe_text.shipped import copy_recipe, listing
from rlhf_compare.reporting.numbers import display_name
from rlhf_compare.runs.stopping import end_at_once

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="RLHF with PPO, or DPO? Train both from one SFT model, measure both, read one page.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"rlhf-compare {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """What stands before the verb."""


@app.command()
def compare(
    recipe: RecipeOption = DEFAULT_RECIPE,
    seeds: SeedsOption = "0",
    runs: RunsOption = Path("runs"),
    reports: ReportsOption = Path("reports"),
    dry_run: DryRun = False,
    fresh: Fresh = False,
    sensitivity: Annotated[
        bool,
        typer.Option("--sensitivity", help="Train each method at a third and thrice its rate too."),
    ] = False,
    overrides: Overrides = None,
) -> None:
    """Train every method of the recipe from one SFT model, measure all, write the report."""
    run_methods(
        recipe, overrides, runs, seeds, dry_run, None, reports, fresh, sensitivity=sensitivity
    )


def _method_command(name: str) -> Callable[..., None]:
    def command(
        recipe: RecipeOption = DEFAULT_RECIPE,
        seeds: SeedsOption = "0",
        runs: RunsOption = Path("runs"),
        dry_run: DryRun = False,
        fresh: Fresh = False,
        overrides: Overrides = None,
    ) -> None:
        run_methods(recipe, overrides, runs, seeds, dry_run, base=name, fresh=fresh)

    shown = display_name(name)
    command.__doc__ = f"Run what {shown} needs, then {shown}, and print its rows of the table."
    return command


for _name in METHODS:
    app.command(name=_name.replace("_", "-"))(_method_command(_name))


@app.command()
def data(
    recipe: RecipeOption = DEFAULT_RECIPE,
    runs: RunsOption = Path("runs"),
    reports: ReportsOption = Path("reports"),
    dry_run: DryRun = False,
    overrides: Overrides = None,
) -> None:
    """Prepare the data and show them: rows dropped and why, lengths, examples with their masks."""
    prepare_data(recipe, overrides, runs, reports, dry_run)


@app.command()
def sft(
    recipe: RecipeOption = DEFAULT_RECIPE,
    runs: RunsOption = Path("runs"),
    dry_run: DryRun = False,
    fresh: Fresh = False,
    overrides: Overrides = None,
) -> None:
    """Train the SFT model that every method starts from."""
    pipeline = make_pipeline(recipe, overrides, runs, fresh)
    if dry_run:
        print_plan(pipeline, ["data", "sft"])
        return
    pipeline.sft()


@app.command()
def reward(
    recipe: RecipeOption = DEFAULT_RECIPE,
    seeds: SeedsOption = "0",
    runs: RunsOption = Path("runs"),
    dry_run: DryRun = False,
    fresh: Fresh = False,
    overrides: Overrides = None,
) -> None:
    """Train the reward model and print what the doctor found in it."""
    wanted = seeds_of(seeds)
    pipeline = make_pipeline(recipe, overrides, runs, fresh)
    if dry_run:
        print_plan(pipeline, ["data", "sft", *(f"reward-{seed}" for seed in wanted)])
        return
    from rlhf_compare.collect import reward_model
    from rlhf_compare.reporting.terminal import print_doctor

    for seed in wanted:
        print_doctor(reward_model(pipeline.reward(seed), seed), console)


@app.command()
def evaluate(
    recipe: RecipeOption = DEFAULT_RECIPE,
    seeds: SeedsOption = "0",
    runs: RunsOption = Path("runs"),
    dry_run: DryRun = False,
    fresh: Fresh = False,
    overrides: Overrides = None,
) -> None:
    """Measure every method with one harness, training what is missing, and print the table."""
    run_methods(recipe, overrides, runs, seeds, dry_run, fresh=fresh)


app.command()(ask)


@app.command()
def tune(
    recipe: RecipeOption = DEFAULT_RECIPE,
    seeds: Annotated[
        str, typer.Option("--seeds", help="Seeds of the search; give others to what judges.")
    ] = "100",
    runs: RunsOption = Path("runs"),
    reports: ReportsOption = Path("reports"),
    dry_run: DryRun = False,
    fresh: Fresh = False,
    overrides: Overrides = None,
) -> None:
    """Try the recipe's grid of every method on the tuning prompts, and say which settings win."""
    from rlhf_compare.tuning.command import run_tuning

    run_tuning(recipe, overrides, runs, seeds, reports, dry_run, fresh)


@app.command()
def frontier(
    recipe: RecipeOption = DEFAULT_RECIPE,
    seeds: SeedsOption = "0 1 2",
    runs: RunsOption = Path("runs"),
    reports: ReportsOption = Path("reports"),
    dry_run: DryRun = False,
    fresh: Fresh = False,
    overrides: Overrides = None,
) -> None:
    """Turn the knob of every method, and draw adoption and the judge's reward against KL."""
    from rlhf_compare.frontier.command import run_frontier

    run_frontier(recipe, overrides, runs, seeds, reports, dry_run, fresh)


@app.command()
def replicate(
    first: Annotated[Path, typer.Argument(metavar="FIRST", help="The results.json to confirm.")],
    fresh: Annotated[
        Path, typer.Argument(metavar="FRESH", help="The same recipe's under other seeds.")
    ],
    tuning: Annotated[
        Path | None, typer.Option("--tuning", help="The tuning.json that chose the settings.")
    ] = None,
) -> None:
    """Hold results against those of fresh seeds: what replicates, and what choosing flattered."""
    from rlhf_compare.replication.command import run_replication

    run_replication(first, fresh, tuning)


@app.command()
def report(
    results: Annotated[
        Path | None, typer.Option(help="A results.json; default: the recipe's own.")
    ] = None,
    recipe: RecipeOption = DEFAULT_RECIPE,
    reports: ReportsOption = Path("reports"),
) -> None:
    """Draw the report again from a results.json; trains and measures nothing."""
    from rlhf_compare.reporting.report import write_report
    from rlhf_compare.reporting.results import load_results

    source = results or reports / check_names(recipe) / "results.json"
    page = write_report(load_results(source), source.parent)
    console.print(f"report: {page}", soft_wrap=True)


@app.command()
def oracle(seeds: SeedsOption = "1-3", reports: ReportsOption = Path("reports")) -> None:
    """Hold PPO and DPO against an exact optimum, in a world whose every response is listed."""
    wanted = seeds_of(seeds)
    with console.status("loading"):
        from rlhf_compare.world.command import run_oracle
    say(run_oracle(wanted, reports / "oracle"))


@app.command()
def recipes(
    copy: Annotated[
        str | None, typer.Option(metavar="NAME", help="Write NAME.yaml into this directory.")
    ] = None,
) -> None:
    """List the recipes that come with the package, or copy one to edit it."""
    for line in [f"{copy_recipe(copy, Path())}: written"] if copy else listing():
        say(line)


app.command(name="models")(fetch_models)


def main() -> None:
    """Entry point: turns errors that a person caused into one line and an exit code."""
    signal.signal(signal.SIGTERM, end_at_once)
    try:
        sys.argv[1:] = expand(sys.argv[1:])
        app(prog_name="rlhf-compare")
    except StageStoppedError as stop:
        print(stop, file=sys.stderr)
        sys.exit(stop.exit_code)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except SystemExit as stop:
        # 130: what typer makes of a KeyboardInterrupt
        if stop.code in (130, 143) and not isinstance(stop, EndedByUser):
            print(
                "interrupted: finished stages are kept, the same command goes on", file=sys.stderr
            )
        raise


if __name__ == "__main__":
    main()
