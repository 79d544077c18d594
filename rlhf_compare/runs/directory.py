"""One directory a stage: what went in, what came out, and a done marker written last."""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlhf_compare.errors import UserError
from rlhf_compare.runs.files import is_half_written, read_json, write_json
from rlhf_compare.runs.locks import LOCK, drop, move
from rlhf_compare.runs.storage import storage_fault

ERROR = "error.txt"
JOURNAL = "held.json"
_DONE, _STARTED = "done.json", "stage.json"
# no part of what a stage made: these may go, or change, when it is done
_BESIDE = {_DONE, LOCK, "resume", "wandb_run.json", ERROR, JOURNAL}


def content_hash(value: Any) -> str:
    """SHA-256 of a JSON value, keys sorted."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class RunDirectory:
    """The directory of one stage.

    stage.json     stage, inputs and their hash, recipe, provenance: written first
    metrics.jsonl  every logged row: the truth, W&B is a sink
    cost.json      device seconds by phase, lost seconds, peak memory, tokens
    model/         what the stage trained, with its tokenizer
    resume/        checkpoints of a stage that is not done, see :mod:`checkpoints`
    held.json      seconds that a device was held for a stage that is not done
    error.txt      the traceback of a stage that failed
    lock           held while a process writes here, see :mod:`locks`
    done.json      the inputs' hash and the bytes of every file: written last; without it the stage
                   did not finish
    """

    path: Path

    @classmethod
    def of(cls, root: Path, name: str, seed: int | None) -> "RunDirectory":
        """Of a stage of the recipe whose runs are under ``root``.

        Args:
            seed: None = the stage is shared by all seeds.
        """
        return cls(root / (name if seed is None else f"{name}-{seed}"))

    @property
    def model(self) -> Path:
        return self.path / "model"

    def is_done(self, inputs_hash: str) -> bool:
        """Whether the stage finished here with these inputs, and all that it made is still here."""
        return self.why_not_done(inputs_hash) is None

    def why_not_done(self, inputs_hash: str) -> str | None:
        """What keeps the directory from being a finished stage with these inputs; None if it is."""
        try:
            marker = read_json(self.path / _DONE)
            made, files = marker["inputs_hash"], dict(marker["files"])
        except FileNotFoundError:
            return "it did not finish"
        except (OSError, ValueError, KeyError, TypeError):
            return f"{_DONE} cannot be read"
        if made != inputs_hash:
            return f"{_DONE} is of other settings"
        here = self._files()
        for name, size in files.items():
            if here.get(name) != size:
                left = "is missing" if name not in here else f"has {here[name]:,} of {size:,} bytes"
                return f"{name} {left}"
        return None

    def _files(self) -> dict[str, int]:
        """Bytes of every file that the stage made, but for a Trainer's own checkpoints."""
        names = {path: path.relative_to(self.path) for path in self.path.rglob("*")}
        return {
            name.as_posix(): path.stat().st_size
            for path, name in sorted(names.items())
            if name.parts[0] not in _BESIDE
            and not name.parts[0].startswith("checkpoint-")
            and path.is_file()
            and not is_half_written(path)
        }

    def start(self, record: dict[str, Any]) -> None:
        """Make the directory of a stage, empty but for its lock and its record.

        Raises:
            UserError: the directory holds files that no stage wrote.
            StorageError: it cannot be written.
        """
        self.require_ours()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for entry in self.path.iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                elif entry.name not in (LOCK, _STARTED):  # the record says that it is ours
                    entry.unlink()
            self.write_record(record)
        except OSError as error:
            raise storage_fault(error, self.path, "cannot be written") from error

    def write_record(self, record: dict[str, Any]) -> None:
        """What was asked for, and what code made it; see :meth:`record`."""
        write_json(self.path / _STARTED, record)

    def require_ours(self) -> None:
        """Leave alone what is somebody else's.

        Raises:
            UserError: the directory holds files that no stage wrote.
        """
        if (self.path / _STARTED).is_file() or not self.path.exists():
            return
        if not self.path.is_dir() or any(
            entry.name != LOCK and not is_half_written(entry) for entry in self.path.iterdir()
        ):
            raise UserError(f"{self.path}: not a run directory of ours, so left alone; move it")

    @property
    def inputs_hash(self) -> str | None:
        """Of the inputs that the directory was started with; None where nothing was."""
        try:
            return str(self.record()["inputs_hash"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def kept_for(self, inputs_hash: str) -> "RunDirectory | None":
        """The directory that was set aside with these inputs, the last one of several."""
        for _, path in reversed(self._aside(f"{self.path.name}.{inputs_hash[:8]}")):
            if RunDirectory(path).inputs_hash == inputs_hash:
                return RunDirectory(path)
        return None

    def _aside(self, base: str) -> list[tuple[int, Path]]:
        """What was set aside under ``base``, ``base-2``, ``base-3``: in this order, numbered."""
        numbers = {path: path.name[len(base) :] for path in self.path.parent.glob(f"{base}*")}
        return sorted(
            (int(number[1:] or 1), path)
            for path, number in numbers.items()
            if not number or (number[0] == "-" and number[1:].isdigit())
        )

    def set_aside(self) -> Path:
        """Rename the directory after the hash of its inputs, so that another may take its name."""
        base = f"{self.path.name}.{(self.inputs_hash or 'unknown')[:8]}"
        before = self._aside(base)
        target = self.path.with_name(f"{base}-{before[-1][0] + 1}" if before else base)
        move(self.path, target)
        drop(target)
        return target

    def finish(self, inputs_hash: str) -> None:
        write_json(self.path / _DONE, {"inputs_hash": inputs_hash, "files": self._files()})

    def record(self) -> dict[str, Any]:
        """What ``start`` wrote."""
        return dict(read_json(self.path / _STARTED))
