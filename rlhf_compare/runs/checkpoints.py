"""Checkpoints of a stage that goes on after an interruption: each is whole or not there.

A checkpoint is written into a temporary directory, flushed to the disk with a manifest of its
files' SHA-256, and only then gets its name. The newest two stay. They lie in ``resume/``, apart
from what a recipe's ``save_strategy`` asks the Trainer to keep.
"""

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError

from rlhf_compare.runs.files import read_json, write_json
from rlhf_compare.runs.fingerprints import digest_file
from rlhf_compare.runs.storage import is_storage_fault, size_of, storage_fault, sync

FOLDER = "resume"
# At least, between two checkpoints of a stage that trains: so much is trained twice after a kill.
# A stage gives no more than a fiftieth of its time to checkpoints, so large models wait longer.
SECONDS = 5.0
_SHARE = 50
# what the first checkpoint will take is not known yet: a slow disk is assumed, and a bound
_BYTES_A_SECOND, _LONGEST_FIRST = 200e6, 300.0
_KEPT = 2
_MANIFEST, _WRITING, _STEP = "manifest.json", ".writing", "step-"


@dataclass
class Checkpoints:
    """The checkpoints of one stage.

    Args:
        directory: ``<stage>/resume``; made when first needed.
        label: the stage, for what is said.
        say: prints a line for the user.
        seconds: between two checkpoints, at least; 0 = after every step.
        again: the command that goes on from here.
    """

    directory: Path
    label: str
    say: Callable[[str], None]
    seconds: float = SECONDS
    again: str = "the same command"
    _damaged: list[Path] = field(default_factory=list)

    @property
    def stage(self) -> Path:
        """The run directory."""
        return self.directory.parent

    def wait(self, took: float | None, size: int) -> float:
        """Seconds from one checkpoint, or the start, to the next.

        Args:
            took: seconds that the last checkpoint took; None = there is none yet.
            size: bytes that the first one will hold.
        """
        if self.seconds == 0:
            return 0.0
        if took is None:
            return max(self.seconds, min(_SHARE * size / _BYTES_A_SECOND, _LONGEST_FIRST))
        return max(self.seconds, _SHARE * took)

    def newest(self) -> Path | None:
        """The newest sound checkpoint; damaged ones are named and passed over."""
        for path in reversed(self._all()):
            if path in self._damaged:
                continue
            fault = _fault(path)
            if fault is None:
                return path
            self._damaged.append(path)
            self.say(f"{self.label}: the checkpoint {path} is damaged ({fault}), so not used")
        return None

    def write(self, step: int, fill: Callable[[Path], None]) -> Path:
        """Publish what ``fill`` writes into the directory it is given.

        Raises:
            StorageError: it could not be written; the checkpoints before it are as they were.
        """
        final, temporary = self.directory / f"{_STEP}{step:06d}", self.directory / _WRITING
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            fill(temporary)
            _seal(temporary)
            if final.exists():  # of a run that went on from an older checkpoint
                shutil.rmtree(final)
            temporary.rename(final)
            sync(self.directory)
        except (OSError, RuntimeError, SafetensorError) as error:
            needed = max(map(size_of, self._all()), default=0)
            with suppress(OSError):
                shutil.rmtree(temporary, ignore_errors=True)
            if not is_storage_fault(error):
                raise
            kept = [path.name for path in self._all()]
            what = f"no checkpoint of step {step} ({', '.join(kept) or 'none'} before it kept)"
            raise storage_fault(error, temporary, what, needed) from error
        self._rotate()
        return final

    def _rotate(self) -> None:
        sound = [path for path in self._all() if path not in self._damaged]
        for path in sound[:-_KEPT]:
            shutil.rmtree(path, ignore_errors=True)

    def _all(self) -> list[Path]:
        """In the order of their steps."""
        found = [p for p in self.directory.glob(f"{_STEP}*") if p.name[len(_STEP) :].isdigit()]
        return sorted(found, key=step_of)


def step_of(checkpoint: Path) -> int:
    """The step after which a checkpoint was made."""
    return int(checkpoint.name[len(_STEP) :])


def _seal(directory: Path) -> None:
    """Flush every file, then write down what each holds."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    for path in files:
        sync(path)
    manifest = {
        str(path.relative_to(directory)): {
            "bytes": path.stat().st_size,
            "sha256": digest_file(path),
        }
        for path in files
    }
    write_json(directory / _MANIFEST, manifest)
    for folder in [directory, *(path for path in directory.rglob("*") if path.is_dir())]:
        sync(folder)


def _fault(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint; None where every file is as it was written."""
    try:
        manifest = read_json(checkpoint / _MANIFEST)
        for name, wanted in manifest.items():
            path = checkpoint / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != wanted["bytes"]:
                return f"{name} has {path.stat().st_size:,} of {wanted['bytes']:,} bytes"
            if digest_file(path) != wanted["sha256"]:
                return f"{name} holds other bytes than were written"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{_MANIFEST} cannot be read"
    return None if manifest else f"{_MANIFEST} names no file"
