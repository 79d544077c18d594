"""What the page reads from the recipe. The recipe's sections belong to its own contract and results
may come from anywhere, so a section that is missing or of another form counts as saying nothing."""

from collections.abc import Mapping
from typing import Any

from rlhf_compare.reporting.schema import Results

Section = Mapping[str, Any]


def section(results: Results, name: str) -> Section:
    """One section of the resolved recipe; empty where there is none."""
    found = results.recipe.sections.get(name)
    return found if isinstance(found, dict) else {}


def has_prefix_task(results: Results) -> bool:
    """Whether the behaviour is a prefix of the response; True where the recipe names no task."""
    return bool(section(results, "task").get("name", "prefix") == "prefix")


def sft_is_given(results: Results) -> bool:
    """Whether the model that all start from was instruction-tuned before, and nothing trained it
    here."""
    return section(results, "sft").get("given") is True


def start_words(results: Results) -> str:
    """What a figure calls the point that all methods start from."""
    return "SFT, given" if sft_is_given(results) else "SFT, one run"


def variant(results: Results, method: str) -> Section:
    """The recipe's entry of a variant: its ``method`` and ``settings``; empty for a method that is
    no variant."""
    found = section(results, "variants").get(method)
    return found if isinstance(found, dict) else {}
