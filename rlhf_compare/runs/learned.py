"""What a stage really learned from, written down by the stage that did."""

from dataclasses import asdict, dataclass

from rlhf_compare.runs.directory import RunDirectory
from rlhf_compare.runs.files import read_json, write_json

_FILE = "learned.json"


@dataclass(frozen=True)
class Learned:
    """The examples that a trainer went through.

    unit     what an example is: demonstrations, pairs, prompts, ranked rows
    at_hand  examples that it was given
    used     of those, how many it came to: fewer where it stopped before the end of a pass
    passes   through all of them
    made     texts that the trainer made from them and learned from besides, every making counted
    """

    unit: str
    at_hand: int
    used: int
    passes: float
    made: int = 0

    @classmethod
    def of(cls, unit: str, at_hand: int, passes: float | None, made: int = 0) -> "Learned":
        """``passes``: the Trainer's epoch when it ended; each pass takes every example once."""
        done = float(passes or 0.0)
        return cls(unit, at_hand, min(at_hand, round(done * at_hand)), done, made)

    def write(self, directory: RunDirectory) -> None:
        write_json(directory.path / _FILE, asdict(self))


def read_learned(directory: RunDirectory) -> Learned | None:
    """What the stage in ``directory`` wrote; None where it trained nothing."""
    path = directory.path / _FILE
    return Learned(**read_json(path)) if path.is_file() else None
