"""What the page reads from the recipe. The recipe's sections belong to its own contract and results
may come from anywhere, so a section that is missing or of another form counts as saying nothing."""

from typing import Any


def section(results: dict[str, Any], name: str) -> dict[str, Any]:
    """One section of the resolved recipe; empty where there is none."""
    found = results["recipe"].get(name)
    return found if isinstance(found, dict) else {}


def has_prefix_task(results: dict[str, Any]) -> bool:
    """Whether the behaviour is a prefix that can be looked for; so it is where nothing is said."""
    return bool(section(results, "task").get("name", "prefix") == "prefix")


def variant(results: dict[str, Any], method: str) -> dict[str, Any]:
    """The recipe's entry of a variant: its ``method`` and ``settings``; empty for a method that is
    no variant."""
    found = section(results, "variants").get(method)
    return found if isinstance(found, dict) else {}


def settings_of(results: dict[str, Any], method: str) -> dict[str, Any]:
    """A method's section; for a variant, its base method's section with the variant's settings."""
    entry = variant(results, method)
    if not entry:
        return section(results, method)
    changed = entry.get("settings")
    base = section(results, str(entry.get("method")))
    return {**base, **(changed if isinstance(changed, dict) else {})}


def base_method(results: dict[str, Any], method: str) -> str:
    """`dpo` for `dpo_chapter`; a method that is no variant is its own base."""
    return str(variant(results, method).get("method", method))
