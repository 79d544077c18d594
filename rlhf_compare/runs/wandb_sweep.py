"""Environment variables that name one W&B run, in a process that makes several runs.

``wandb agent`` and users set ``WANDB_RUN_ID`` and the like for the process; W&B would give them to
every run that it starts, and all stages would write into one.
"""

import os
from dataclasses import dataclass
from typing import Any

_TO_INIT = {
    "WANDB_RUN_ID": "id",
    "WANDB_RESUME": "resume",
    "WANDB_RESUME_FROM": "resume_from",
    "WANDB_FORK_FROM": "fork_from",
}
_SWEEP = "WANDB_SWEEP_ID"


@dataclass
class ForeignRun:
    """The run that the environment names for this process, and its sweep.

    Attributes:
        options: for ``wandb.init``, of the one stage that becomes this run.
        sweep_id: of the sweep; None = there is none.
        given: whether a stage has become this run.
    """

    options: dict[str, Any]
    sweep_id: str | None
    given: bool = False

    @property
    def id(self) -> str | None:
        return self.options.get("id")

    @property
    def names_a_run(self) -> bool:
        return any(key in self.options for key in ("id", "resume_from", "fork_from"))

    def config(self) -> dict[str, str]:
        """Config entries for every stage's run, so that the runs of a sweep can be found."""
        named = {"foreign_run_id": self.id, "sweep_id": self.sweep_id}
        return {key: value for key, value in named.items() if value}

    @property
    def group(self) -> str | None:
        return self.id or self.sweep_id


_taken: list[ForeignRun] = []


def foreign_run() -> ForeignRun:
    """The process's foreign run. The first call takes its variables out of the environment, before
    W&B reads them."""
    if not _taken or _named():
        _taken[:] = [
            ForeignRun(
                {key: os.environ.pop(name) for name, key in _TO_INIT.items() if name in os.environ},
                os.environ.pop(_SWEEP, None),
            )
        ]
    return _taken[0]


def _named() -> bool:
    return any(name in os.environ for name in (*_TO_INIT, _SWEEP))
