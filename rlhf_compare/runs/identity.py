"""What a stage is known by: its inputs, and what code made it."""

from dataclasses import dataclass
from typing import Any

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

    @property
    def label(self) -> str:
        return self.directory.path.name

    @property
    def name(self) -> str:
        return str(self.identity["stage"])

    @property
    def key(self) -> str:
        return content_hash(self.identity)


def with_origin(key: str, record: dict[str, Any]) -> str:
    """The hash of a stage's inputs and of what made it."""
    made_by = origin(record)
    return key if made_by is None else content_hash([key, made_by])
