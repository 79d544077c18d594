"""Where the metrics of a process go: what W&B's environment, its account and the recipe say."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rlhf_compare.errors import RecipeError
from rlhf_compare.runs.config import TrackingConfig, fault_of_name

Mode = Literal["online", "offline", "disabled"]

# what WANDB_MODE may say, and what each word means here
_MODES: dict[str, Mode] = {
    "online": "online",
    "run": "online",
    "shared": "online",
    "offline": "offline",
    "dryrun": "offline",
    "disabled": "disabled",
}


@dataclass(frozen=True)
class Destination:
    """Where runs go, and why not online where that was possible."""

    mode: Mode
    why: str = ""


class _Process:
    """What one process learnt of W&B: a server that failed once is not waited for again."""

    refused: Destination | None = None


def remember_refusal(mode: Mode, why: str) -> None:
    """Every later run of this process goes where ``mode`` says, without a new attempt."""
    _Process.refused = Destination(mode, why)


def forget_refusals() -> None:
    """As if nothing had failed yet."""
    _Process.refused = None


def check_tracking(config: TrackingConfig) -> None:
    """Hold what the environment says of W&B against what W&B accepts.

    Raises:
        RecipeError: names the variable, its value and the way out.
    """
    mode = os.environ.get("WANDB_MODE")
    if mode and mode not in _MODES:
        raise RecipeError(f"WANDB_MODE={mode!r}: write online, offline or disabled")
    if destination_of(config) == "disabled":
        return
    for variable in ("WANDB_PROJECT", "WANDB_ENTITY", "WANDB_RUN_ID"):
        value = os.environ.get(variable)
        if value and (fault := fault_of_name(value)):
            raise RecipeError(f"{variable}={value!r}: {fault}")


def destination_of(config: TrackingConfig) -> str:
    """The mode that was asked for: WANDB_MODE wins over the recipe; may be ``auto``."""
    mode = os.environ.get("WANDB_MODE")
    return _MODES.get(mode, "disabled") if mode else config.wandb


def destination(config: TrackingConfig) -> Destination:
    """Where the next run goes; nothing is sent and nobody is asked."""
    asked = destination_of(config)
    if asked == "disabled":
        return Destination("disabled")
    if _Process.refused is not None:
        return _Process.refused
    if asked == "offline":
        return Destination("offline", "WANDB_MODE" if "WANDB_MODE" in os.environ else "")
    try:
        return _ask_wandb(asked)
    except Exception as error:  # whatever W&B raises, a run goes on without it
        return Destination("offline", first_line(error))


def _ask_wandb(asked: str) -> Destination:
    """Online with an account. Its key may stand in the environment, in netrc under the host that
    this version of W&B talks to, or in a settings file; W&B itself knows where it looks."""
    wandb = quiet_wandb()
    from wandb.sdk.lib import wbauth

    settings = wandb.setup().settings
    if asked == "auto" and settings.mode in ("offline", "dryrun", "disabled"):  # `wandb offline`
        return Destination(_MODES[settings.mode], "W&B's settings file")
    try:
        account = wbauth.authenticate_session(
            host=settings.base_url, source="rlhf-compare", prompt=False, update_session=False
        )
    except wandb.errors.AuthenticationError as error:
        return Destination("offline", f"the key cannot be one: {first_line(error)}")
    if account is not None:
        return Destination("online")
    where = "" if asked == "auto" else "online was asked for, but "
    return Destination("offline", f"{where}no account found (`{command('wandb')} login` makes one)")


def quiet_wandb() -> Any:
    """The library, which prints nothing and reports its own errors to nobody: that report goes to
    the same server, and a server that hangs would hold up the end of the process."""
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read at the first import
    import wandb  # here, so that a run without it never loads it

    loud = "WANDB_SILENT" in os.environ  # or silent: the user's own choice stays
    wandb.setup() if loud else wandb.setup(wandb.Settings(silent=True))
    return wandb


def describe_tracking(config: TrackingConfig, root: Path) -> str:
    """One line on where metrics go, with the commands that read them.

    Args:
        root: the folder that holds W&B's own folder; see :func:`wandb_root`.
    """
    where = destination(config)
    if where.mode == "online":
        project = os.environ.get("WANDB_PROJECT", config.project)
        return f"W&B: online, project {project}; every stage prints its link"
    if where.mode == "disabled":
        why = f" ({where.why})" if where.why else ""
        return f"W&B: off{why}; metrics are in each stage's metrics.jsonl"
    why = f" ({where.why})" if where.why else ""
    folder = wandb_root(root) / "wandb"
    return (
        f"W&B: logging offline{why}; look: `{command('wandb')} leet {folder}`, "
        f"upload: `{sync_command(folder)}`"
    )


def wandb_root(root: Path) -> Path:
    """WANDB_DIR, else ``root``: the folder in which W&B makes its own, one for all stages."""
    return Path(os.environ.get("WANDB_DIR") or root)


def sync_command(folder: Path) -> str:
    """What uploads every run in a ``wandb/`` folder that is not on a server yet."""
    return f"{command('wandb')} sync --include-online {folder}/*run-*"


def command(name: str) -> str:
    """A command of this Python's environment, as a person here can type it."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        return name
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def first_line(error: BaseException) -> str:
    """The part of W&B's message that fits a line, and a reason where W&B gives none."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    text = ": ".join(lines[:2])[:300]
    if "401" in text:
        return f"{text}: the server does not know this key"
    if not text or "<no message>" in text:
        kind = type(error).__name__
        return f"{kind}, no reason given: most often the server does not know this key"
    return text
