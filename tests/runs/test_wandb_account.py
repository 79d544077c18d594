"""Where the runs of W&B go: mode, account, environment."""

from pathlib import Path
from typing import Any

import pytest
import wandb

from rlhf_compare.errors import RecipeError
from rlhf_compare.runs.config import TrackingConfig
from rlhf_compare.runs.wandb_account import (
    check_tracking,
    describe_tracking,
    destination,
)
from tests.runs.wandb_stage import KEY

pytestmark = pytest.mark.usefixtures("fresh_process")

# --- where runs go


@pytest.mark.parametrize(
    ("environment", "recipe", "expected"),
    [
        ({}, "auto", "offline"),
        ({"WANDB_API_KEY": KEY}, "auto", "online"),
        ({}, "disabled", "disabled"),
        ({}, "online", "offline"),
        ({"WANDB_MODE": "online"}, "auto", "offline"),
        ({"WANDB_MODE": "disabled"}, "online", "disabled"),
        ({"WANDB_MODE": "dryrun", "WANDB_API_KEY": KEY}, "auto", "offline"),
        ({"WANDB_MODE": "offline", "WANDB_API_KEY": KEY}, "auto", "offline"),
        ({"WANDB_API_KEY": "abc"}, "auto", "offline"),
    ],
)
def test_mode(
    environment: dict[str, str], recipe: Any, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert destination(TrackingConfig(wandb=recipe)).mode == expected


@pytest.mark.parametrize(
    ("url", "machine", "expected"),
    [
        ("", wandb.sdk.lib.urls.DEFAULT_BASE_URL.split("//")[1], "online"),  # `wandb login` writes
        ("http://127.0.0.1:8080", "127.0.0.1:8080", "online"),
        ("http://127.0.0.1:8080", "other.example", "offline"),
    ],
)
def test_the_account_is_the_one_that_wandb_itself_finds(
    url: str, machine: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if url:
        monkeypatch.setenv("WANDB_BASE_URL", url)
    (tmp_path / "netrc").write_text(f"machine {machine}\n  login user\n  password {KEY}\n")
    assert destination(TrackingConfig()).mode == expected


def test_a_settings_file_counts(tmp_path: Path) -> None:
    folder = tmp_path / ".config" / "wandb"
    folder.mkdir(parents=True)
    (folder / "settings").write_text(f"[default]\napi_key = {KEY}\n")
    assert destination(TrackingConfig()).mode == "online"


def test_online_without_an_account_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    line = describe_tracking(TrackingConfig(), tmp_path)
    assert "offline" in line and "online was asked for, but no account found" in line


def test_a_key_that_is_none_is_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "se-cret")
    line = describe_tracking(TrackingConfig(), tmp_path)
    assert "the key cannot be one" in line and "se-cret" not in line


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("WANDB_MODE", "foo", "WANDB_MODE='foo': write online, offline or disabled"),
        ("WANDB_PROJECT", "a/b", "WANDB_PROJECT='a/b': may not hold /"),
        ("WANDB_ENTITY", "a:b", "WANDB_ENTITY='a:b': may not hold :"),
    ],
)
def test_the_environment_is_checked(
    name: str, value: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(RecipeError, match=fault):
        check_tracking(TrackingConfig())
