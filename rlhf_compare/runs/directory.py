"""One directory a stage: what went in, what came out, and a done marker written last."""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlhf_compare.errors import UserError

_DONE, _STARTED = "done.json", "stage.json"


def content_hash(value: Any) -> str:
    """SHA-256 of a JSON value, keys sorted."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file so that it is either whole or not there."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as stream:
        json.dump(value, stream, indent=1, sort_keys=True)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class RunDirectory:
    """The directory of one stage.

    stage.json     stage, inputs and their hash, recipe, provenance: written first
    metrics.jsonl  every logged row: the truth, W&B is a sink
    cost.json      device seconds by phase, peak memory, tokens
    model/         what the stage trained, with its tokenizer
    done.json      the inputs' hash: written last; without it the stage did not finish
    """

    path: Path

    @property
    def model(self) -> Path:
        return self.path / "model"

    def is_done(self, inputs_hash: str) -> bool:
        """Whether the stage finished here with exactly these inputs."""
        try:
            return bool(read_json(self.path / _DONE)["inputs_hash"] == inputs_hash)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def start(self, record: dict[str, Any]) -> None:
        """Make an empty directory for a stage, replacing what an earlier one of ours left.

        Raises:
            UserError: the directory holds files that no stage wrote, or cannot be written.
        """
        try:
            if self.path.exists() and any(self.path.iterdir()):
                if not (self.path / _STARTED).is_file():
                    raise UserError(
                        f"{self.path}: not a run directory of ours, so left alone; move it"
                    )
                shutil.rmtree(self.path)
            self.path.mkdir(parents=True, exist_ok=True)
            write_json(self.path / _STARTED, record)
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written: {error.strerror}") from error

    def finish(self, inputs_hash: str) -> None:
        write_json(self.path / _DONE, {"inputs_hash": inputs_hash})

    def record(self) -> dict[str, Any]:
        """What ``start`` wrote."""
        return dict(read_json(self.path / _STARTED))
