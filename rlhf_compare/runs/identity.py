"""What a stage is known by: its inputs, and what code made it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlhf_compare import __version__
from rlhf_compare.runs.directory import RunDirectory, content_hash
from rlhf_compare.runs.provenance import origin


@dataclass(frozen=True)
class Stage:
    """A finished stage.

    directory    where it is
    inputs_hash  of its inputs and of what code made it: the inputs of later stages hold it
    """

    directory: RunDirectory
    inputs_hash: str


@dataclass(frozen=True)
class Wanted:
    """A stage that is asked for, done or not.

    identity   what its directory is known by: stage, seed, version, inputs
    key        the hash of these
    shared     by all methods and seeds
    """

    directory: RunDirectory
    identity: dict[str, Any]
    shared: bool

    @classmethod
    def of(
        cls, root: Path, name: str, seed: int | None, inputs: dict[str, Any], shared_seed: int
    ) -> "Wanted":
        """A stage of the recipe whose runs are under ``root``.

        Args:
            seed: None = the stage is shared by all seeds, and made with ``shared_seed``.
            inputs: everything that its outcome depends on, as JSON.
        """
        used = shared_seed if seed is None else seed
        return cls(
            RunDirectory.of(root, name, seed),
            {"stage": name, "seed": used, "version": __version__, "inputs": inputs},
            shared=seed is None,
        )

    @property
    def label(self) -> str:
        return self.directory.path.name

    @property
    def name(self) -> str:
        return str(self.identity["stage"])

    @property
    def key(self) -> str:
        return content_hash(self.identity)

    def as_finished(self) -> Stage:
        """The stage that is done in the directory, made by whatever code."""
        return Stage(self.directory, with_origin(self.key, self.directory.record()))


def with_origin(key: str, record: dict[str, Any]) -> str:
    """The hash of a stage's inputs and of what made it."""
    made_by = origin(record)
    return key if made_by is None else content_hash([key, made_by])
