"""Which rows of a run W&B holds already, so that a stage that goes on sends each step once.

A killed stage goes on from its last checkpoint and makes the steps after it a second time, with
the same numbers. W&B may have those steps, and may lack earlier ones: it keeps rows back for
seconds. ``metrics.jsonl`` holds every step up to the checkpoint.

online   the server says which step it has last; the rows after that are sent
offline  nobody can be asked, so the new folder gets all rows, and an upload of it replaces what
         the server has; that is what W&B does with an id that comes again without ``resume``

Either way the run's earlier folders hold nothing that is needed, and must not be uploaded.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STEP = "trainer/global_step"


@dataclass(frozen=True)
class Held:
    """What the server has of a run.

    step   the last one; -1 = none
    names  the metrics of that step's row; None = all that the step will have
    """

    step: int = -1
    names: frozenset[str] | None = None

    def lacks(self, step: int, values: Mapping[str, Any]) -> dict[str, Any]:
        """Those of a step's values that the server does not have."""
        if step < self.step or (step == self.step and self.names is None):
            return {}
        held = self.names or () if step == self.step else ()
        return {name: value for name, value in values.items() if name not in held}


def held_by(summary: Mapping[str, Any], rows: Mapping[int, Mapping[str, Any]]) -> Held:
    """Of a run that was resumed online.

    Args:
        summary: of the run, as the server gave it.
        rows: see :func:`logged`. A row is sent when its step is over, so the last one that arrived
            is complete; but its step may have been the last, and more may be measured there.
    """
    step = int(summary.get(STEP, -1))
    return Held(step, frozenset(rows[step]) if step in rows else None)


def logged(metrics: Path) -> dict[int, dict[str, Any]]:
    """The steps of a ``metrics.jsonl``, in order, each with all numbers that were logged at it."""
    if not metrics.is_file():
        return {}
    steps: dict[int, dict[str, Any]] = defaultdict(dict)
    for line in metrics.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        steps[row.pop("step")] |= {k: v for k, v in row.items() if isinstance(v, int | float)}
    return dict(sorted(steps.items()))


def retire_earlier(folder: Path, run_id: str, but: Path) -> None:
    """Let ``wandb sync`` pass over the earlier folders of a run, as over those it has uploaded.

    Args:
        folder: W&B's own.
        but: the folder of the run that goes on.
    """
    for earlier in folder.glob(f"*run-*-{run_id}"):
        if earlier.resolve() != but.resolve():
            (earlier / f"run-{run_id}.wandb.synced").touch()
