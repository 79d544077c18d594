"""Where a number comes from: commit, versions, device."""

import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

_PACKAGES = ("torch", "transformers", "trl", "datasets", "peft", "accelerate", "wandb", "numpy")


def provenance() -> dict[str, Any]:
    """Commit and cleanliness of the checkout (None outside one), package versions, device."""
    commit, dirty = _git()
    versions = {name: version(name) for name in _PACKAGES}
    return {
        "commit": commit,
        "dirty": dirty,
        "versions": {"python": platform.python_version(), **versions},
        "device": _device(),
    }


def commit() -> str | None:
    """Of the checkout that runs; None outside one."""
    return _git_once()[0]


@cache
def _git_once() -> tuple[str | None, bool | None]:
    return _git()


def _git() -> tuple[str | None, bool | None]:
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None, None
    try:
        commit = _run(root, "rev-parse", "HEAD")
        return commit, bool(_run(root, "status", "--porcelain"))
    except (OSError, subprocess.CalledProcessError):
        return None, None


def _run(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=root, check=True, capture_output=True, text=True, timeout=30
    )
    return done.stdout.strip()


def _device() -> dict[str, str]:
    if torch.cuda.is_available():
        return {"kind": "cuda", "name": torch.cuda.get_device_name(0), "clock": "cuda_events"}
    name = f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
    return {"kind": "cpu", "name": name, "clock": "wall"}
