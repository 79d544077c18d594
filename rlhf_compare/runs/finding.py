"""Finds finished stages for a command that runs none: it makes nothing and holds no lock, so that a
training that would replace a stage is never kept waiting by somebody who reads it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlhf_compare.runs.differences import describe
from rlhf_compare.runs.identity import Stage, Wanted


@dataclass(frozen=True)
class StageFinder:
    """The stages of one recipe, as :class:`rlhf_compare.runs.runner.StageRunner` names them.

    root  ``runs/<recipe>``
    seed  of stages that have none of their own
    """

    root: Path
    seed: int

    def find(self, name: str, seed: int | None, inputs: dict[str, Any]) -> Stage | None:
        """A stage that is done with these inputs, made by whatever code; None where there is none.

        Args:
            seed: None = the stage is shared by all seeds.
            inputs: everything that its outcome depends on, as JSON.
        """
        wanted = Wanted.of(self.root, name, seed, inputs, self.seed)
        return wanted.as_finished() if wanted.directory.is_done(wanted.key) else None

    def why_not(self, name: str, seed: int | None, inputs: dict[str, Any]) -> str:
        """Why :meth:`find` found nothing, in words that go on after the stage's name."""
        wanted = Wanted.of(self.root, name, seed, inputs, self.seed)
        made_of = wanted.directory.inputs_hash
        if made_of is None:
            return "is not there"
        if made_of != wanted.key:
            record = wanted.directory.record()
            before = {key: record.get(key) for key in wanted.identity}
            changed = describe(before, wanted.identity)
            return f"was made under other settings ({changed})"
        return f"is not done: {wanted.directory.why_not_done(wanted.key)}"
