"""The ``tracking:`` section of a recipe."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator

from rlhf_compare.data.config import Section

_MAX_NAME = 128
_REFUSED = "/\\#?%:"


def fault_of_name(name: str) -> str | None:
    """Why W&B would refuse a project or a team of this name; None if it would not."""
    found = sorted({character for character in name if character in _REFUSED})
    if found:
        return f"may not hold {' '.join(found)}"
    if not name.strip() or name != name.strip():
        return "may not be empty, nor begin or end with a space"
    return f"may not be longer than {_MAX_NAME} characters" if len(name) > _MAX_NAME else None


def _accepted(name: str) -> str:
    if fault := fault_of_name(name):
        raise ValueError(f"{name!r} {fault}")
    return name


def _as_mode(value: object) -> object:
    """YAML reads a bare ``on`` or ``off`` as a truth value."""
    if isinstance(value, bool):
        return "auto" if value else "disabled"
    words = {"on": "auto", "true": "auto", "off": "disabled", "false": "disabled"}
    return words.get(value.lower(), value) if isinstance(value, str) else value


Name = Annotated[str, AfterValidator(_accepted)]


class TrackingConfig(Section):
    """Where metrics go beside ``metrics.jsonl``."""

    # auto: online with an account, else offline; on = auto, off = disabled
    wandb: Annotated[
        Literal["auto", "online", "offline", "disabled"], BeforeValidator(_as_mode)
    ] = "auto"
    project: Name = "rlhf-compare"
    entity: Name | None = None  # W&B team or user; None = the account's default
