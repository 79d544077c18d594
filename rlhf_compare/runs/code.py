"""The code that a stage runs on: a digest of each part of the package.

A part is a folder of the package, or the modules at its top. A stage runs on its own folder and on
all folders that stages share, but not on the folder of another stage: the import contracts forbid
it. So a change to DPO's code leaves SFT's as it was.

Not counted, because nothing there changes what a stage computes: the pages and tables
(``reporting/``), the reading and checking of recipes (a stage's inputs hold the values), and the
command line. A new module counts unless it is named here.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1]
TOP = "rlhf_compare"  # the part of the modules that lie in no folder

_NOT_COUNTED = {
    "reporting", "preflight", "recipe_text", "cli.py", "commands.py", "methods.py", "plan.py",
    "fetching.py", "collect.py", "collected", "finished.py", "sensitivity.py", "bars.py",
    "sweeps", "tuning", "frontier",
}  # fmt: skip
# Each has a stage.py, and the other stages run on it: rows, and the probe during training.
_SHARED = {"data", "evaluation"}


def code_of(section: str, package: Path = PACKAGE) -> dict[str, str]:
    """The digests of the parts that a stage runs on; read once a process.

    Args:
        section: see :func:`section_of`; all parts count for one that has no folder.
    """
    parts = _parts(package)
    of_a_stage = {name for name in parts if (package / name / "stage.py").is_file()}
    others = of_a_stage - _SHARED - {section} if section in of_a_stage else set()
    return {name: digest for name, digest in parts.items() if name not in others}


def section_of(recipe: Mapping[str, Any], stage: str) -> str:
    """The folder with a stage's own code, which is also its section of the recipe: that of its
    method for a variant."""
    variant = recipe.get("variants", {}).get(stage)
    if variant:
        return str(variant["method"])
    if stage.startswith("evaluate-"):
        return "evaluation"
    return "reward" if stage == "judge" else stage


@cache
def _parts(package: Path) -> dict[str, str]:
    digests: dict[str, Any] = {}
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package)
        if name.parts[0] in _NOT_COUNTED:
            continue
        part = name.parts[0] if len(name.parts) > 1 else TOP
        digest = digests.setdefault(part, hashlib.sha256())
        digest.update(
            f"{name.as_posix()}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode()
        )
    return {part: digest.hexdigest()[:16] for part, digest in digests.items()}
