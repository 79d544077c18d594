"""The ``tracking:`` section of a recipe."""

from typing import Literal

from rlhf_compare.data.config import Section


class TrackingConfig(Section):
    """Where metrics go beside ``metrics.jsonl``."""

    wandb: Literal["auto", "online", "offline", "disabled"] = "auto"  # auto: online with an account
    project: str = "rlhf-compare"
    entity: str | None = None  # W&B team or user; None = the account's default
