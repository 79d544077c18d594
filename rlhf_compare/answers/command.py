"""The verb ``ask``: the trained policies of a recipe answer side by side; nothing is trained."""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from rlhf_compare.answers.answer import Asked, Drawing
from rlhf_compare.answers.terminal import print_asked
from rlhf_compare.commands import console, open_recipe
from rlhf_compare.data.config import MAX_SEED
from rlhf_compare.errors import EndedByUser, UserError
from rlhf_compare.options import DEFAULT_RECIPE, RecipeOption, RunsOption
from rlhf_compare.plan import seeds_of
from rlhf_compare.reporting.escaping import visible

if TYPE_CHECKING:  # torch takes seconds to load, and a typo none
    from rlhf_compare.answers.panel import Panel

# a blank before the equals sign is no field's name: "What is a = b?" is a question
_OVERRIDE = re.compile(r"[A-Za-z_]\w*(?:\.[\w-]+)*=.*", re.DOTALL)

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[QUESTION]... [SECTION.FIELD=VALUE]...",
        help="Questions; none = those of evaluation.questions. A word that reads section.field="
        "value is no question but what differs from the recipe: write the ones that the stages "
        "were trained with.",
    ),
]


def ask(
    words: Words = None,
    question: Annotated[
        list[str] | None,
        typer.Option(
            "--question", "-q", metavar="TEXT", help="A question, whatever it looks like."
        ),
    ] = None,
    recipe: RecipeOption = DEFAULT_RECIPE,
    seeds: Annotated[
        str | None,
        typer.Option(
            "--seeds",
            help='Seeds of the methods: "0 1 2", "0-4"; default 0, or the lowest trained.',
        ),
    ] = None,
    runs: RunsOption = Path("runs"),
    sample: Annotated[
        bool, typer.Option("--sample", help="Draw the answers, at temperature 1; default: greedy.")
    ] = False,
    temperature: Annotated[
        float | None, typer.Option("--temperature", help="Draw the answers at this temperature.")
    ] = None,
    seed_of_draw: Annotated[
        int, typer.Option("--seed-of-draw", min=0, max=MAX_SEED, help="Of drawn answers.")
    ] = 0,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Of an answer; default: evaluation.max_new_tokens."),
    ] = None,
    loop: Annotated[
        bool,
        typer.Option("--loop", help="Go on with a question a line, until an empty one or the end."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a question, and nothing else.")
    ] = False,
) -> None:
    """Let the trained models answer a question side by side, with their numbers; trains nothing."""
    if temperature is not None and not 0.0 < temperature < float("inf"):
        raise UserError(f"--temperature: {temperature}: give a number above 0; without it: greedy")
    drawn = temperature if temperature is not None else 1.0 if sample else None
    given, overrides = _told_apart(words or ())
    given += question or ()
    wanted = None if seeds is None else seeds_of(seeds)
    beside = Console(stderr=True)
    try:
        panel = _panel(
            recipe, overrides, runs, wanted, drawn, seed_of_draw, max_new_tokens,
            beside if as_json else console,
        )  # fmt: skip
        for line in dict.fromkeys(str(lack) for one in panel.trained for lack in one.missing):
            beside.print(Text(visible(line, line=True)), style="dim", soft_wrap=True)
        if not given and not loop:
            given = list(panel.recipe.evaluation.questions)
            if not given:
                raise UserError(
                    f"recipe {panel.recipe.name}: no evaluation.questions to fall back on; write a "
                    "question behind ask, or --loop to type them"
                )
        for text in given:
            _print(panel.ask(text), as_json)
        if loop:
            _go_on(panel, as_json, beside)
    except KeyboardInterrupt:
        raise EndedByUser(130) from None


def _told_apart(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Questions and overrides."""
    overrides = [word for word in words if _OVERRIDE.fullmatch(word)]
    return [word for word in words if word not in overrides], overrides


def _panel(
    recipe: Path,
    overrides: list[str],
    runs: Path,
    seeds: list[int] | None,
    temperature: float | None,
    seed_of_draw: int,
    max_new_tokens: int | None,
    screen: Console,
) -> "Panel":
    opened = open_recipe(recipe, overrides, screen)
    with screen.status("loading the models"):
        from rlhf_compare.answers.panel import Panel
        from rlhf_compare.answers.trained import Search, Typed

        search = Search(opened, Typed(recipe=recipe, runs=runs, overrides=overrides))
        found = [search.first()] if seeds is None else [search.under(seed) for seed in seeds]
        longest = max_new_tokens or opened.evaluation.max_new_tokens
        drawing = Drawing(
            temperature=temperature, seed_of_draw=seed_of_draw, max_new_tokens=longest
        )
        return Panel(opened, found, drawing)


def _go_on(panel: "Panel", as_json: bool, beside: Console) -> None:
    """Ask what is typed. On a terminal a question that cannot be asked is named, and the next one
    is awaited; in a pipe it ends the command, so that no answer is taken for another's."""
    typed = sys.stdin.isatty()
    for text in _typed(typed):
        try:
            _print(panel.ask(text), as_json)
        except UserError as error:
            if not typed:
                raise
            beside.print(Text(visible(f"error: {error}", line=True)), soft_wrap=True)


def _typed(sign: bool) -> Iterator[str]:
    """Lines of the standard input, until an empty one or the end.

    Raises:
        UserError: they are no text.
    """
    while True:
        if sign:
            print("question> ", end="", file=sys.stderr, flush=True)
        try:
            line = sys.stdin.readline()
        except UnicodeDecodeError as error:
            raise UserError("--loop: the questions are not UTF-8; convert them") from error
        if not line.strip():
            return
        yield line.rstrip("\r\n")


def _print(asked: Asked, as_json: bool) -> None:
    if as_json:  # ASCII: no character of an answer reaches a terminal as it is
        print(json.dumps(asdict(asked), allow_nan=False), flush=True)
    else:
        print_asked(asked, console)
