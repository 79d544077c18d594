"""Where a number comes from: commit, code, versions, device."""

import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from rlhf_compare.runs.code import code_of, section_of
from rlhf_compare.runs.directory import content_hash

_PACKAGES = ("torch", "transformers", "trl", "datasets", "peft", "accelerate", "wandb", "numpy")


def provenance(recipe: Mapping[str, Any], stage: str) -> dict[str, Any]:
    """Of a stage that this process runs: commit and cleanliness of the checkout (None outside
    one), the digests of the code, package versions, device."""
    commit, dirty = _git()
    return {
        "commit": commit,
        "dirty": dirty,
        "code": code_of(section_of(recipe, stage)),
        "versions": _versions(),
        "device": _device(),
    }


def commit() -> str | None:
    """Of the checkout that runs; None outside one."""
    return _git()[0]


# --- what made a stage that is done


def makers(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The provenance of the process that began a stage, then of each that went on with it by other
    code.

    Args:
        record: what the stage's directory says of it.
    """
    return [record["provenance"], *record.get("continued_by", [])]


def origin(record: Mapping[str, Any]) -> str | None:
    """A hash of the code, libraries and device that made a stage; None where they were not
    recorded. Two stages with the same inputs and the same origin hold the same result."""
    made = makers(record)
    if not all("code" in one for one in made):
        return None
    return content_hash([{key: one[key] for key in ("code", "versions", "device")} for one in made])


def difference(made: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """What differs between two provenances of a stage, in words: ``"other code (commit abc1234;
    models differs)"``; None where the code and the libraries are the same."""
    if "code" not in made:
        return "code that was not recorded"
    parts = _changed(made["code"], now["code"])
    if parts:
        words = "no commit" if made["commit"] is None else f"commit {made['commit'][:7]}"
        changes = " with changes" if made["dirty"] else ""
        return f"other code ({words}{changes}; {', '.join(parts)} changed since)"
    packages = _changed(made["versions"], now["versions"])
    if packages:
        listed = (f"{name} {made['versions'].get(name)}" for name in packages)
        return f"other libraries ({', '.join(listed)})"
    return None


def made_otherwise(record: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Whether other code or libraries than the present ones had part in a stage, in words."""
    differences = (difference(one, now) for one in makers(record))
    return next((words for words in differences if words is not None), None)


def of_stage(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the results say of the code that made one stage; see ``StageCode`` in their schema."""
    now = provenance(record["recipe"], record["stage"])
    first, *later = [
        {key: one.get(key) for key in ("commit", "dirty", "code", "versions")}
        for one in makers(record)
    ]
    every = [first, *later]
    return {
        **first,
        "continued_by": later,
        "made_by_other_code": any(one["code"] != now["code"] for one in every),
        "made_with_other_libraries": any(one["versions"] != now["versions"] for one in every),
    }


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in {**before, **after} if before.get(name) != after.get(name))


# --- this process


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


@cache  # the code was loaded when the process began, whatever the checkout holds later
def _git() -> tuple[str | None, bool | None]:
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None, None
    try:
        commit = _run(root, "rev-parse", "HEAD")
        return commit, bool(_run(root, "status", "--porcelain"))
    except (OSError, subprocess.SubprocessError):
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
