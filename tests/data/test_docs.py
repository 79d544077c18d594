"""The page on data says what the code does."""

from pathlib import Path

from rlhf_compare.data.config import DataConfig, SourceConfig
from rlhf_compare.data.reasons import REASONS

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")


def test_every_reason_is_explained() -> None:
    for code, words in REASONS.items():
        assert f"| `{code}` | {words} |" in PAGE


def test_every_field_is_mentioned() -> None:
    fields = {**SourceConfig.model_fields, **DataConfig.model_fields}
    untold = {"max_rows", "eval_share", "duplicates"}  # their comment in the section says it all
    assert {name for name in fields if name not in PAGE} <= untold
