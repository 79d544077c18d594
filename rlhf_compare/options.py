"""Options that several verbs of the command line share; imports no training library."""

from pathlib import Path
from typing import Annotated

import typer

RecipeOption = Annotated[
    Path, typer.Option("--recipe", help="A YAML file, or a name that `recipes` lists.")
]
SeedsOption = Annotated[
    str, typer.Option("--seeds", help='Seeds of the methods: "0 1 2", "0-4" or "0,3".')
]
RunsOption = Annotated[Path, typer.Option("--runs", help="Where stages write.")]
ReportsOption = Annotated[Path, typer.Option("--reports", help="Where reports go.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check everything, print the resolved plan and stop.")
]
Fresh = Annotated[
    bool,
    typer.Option("--fresh", help="Run finished stages again; earlier ones are set aside."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SECTION.FIELD=VALUE]...",
        help="Fields that differ from the recipe, for instance ppo.kl_coef=0.1 "
        "dpo.loss_type=ipo 'model.lora={r: 16, lora_alpha: 32}'. The value is YAML; null takes a "
        "variant or a section away.",
    ),
]

DEFAULT_RECIPE = Path("tiny")
