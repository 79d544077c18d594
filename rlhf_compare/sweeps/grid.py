"""From grids to the settings of a sweep, and to a recipe that has them as its variants."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from pydantic import ValidationError

from rlhf_compare.errors import RecipeError
from rlhf_compare.recipe import Recipe
from rlhf_compare.reporting.numbers import display_name

_LONGEST = 24  # characters of a variant's name behind its method


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One point of a sweep.

    name    column and run directory: a variant's, or the method's own where the values are those
            of its section
    values  field of the method's section -> its value, as the section holds it
    """

    name: str
    method: str
    values: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{display_name(self.method)}, {words(self.values)}"


def words(values: Mapping[str, Any]) -> str:
    """``learning_rate 0.0005, beta 0.1``."""
    return ", ".join(f"{field} {value_text(value)}" for field, value in values.items())


def value_text(value: Any) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def settings_of(
    recipe: Recipe, grids: Mapping[str, Mapping[str, Sequence[Any]]], where: str
) -> list[Setting]:
    """Every combination of the values of each grid, methods in the order of the recipe.

    Args:
        grids: method -> field -> values; one whose method has no section in the recipe is left out.
        where: the field of the recipe that holds the grids, for messages.

    Raises:
        RecipeError: a field that the method does not have, a value that it refuses, or one that
            stands twice.
    """
    settings = []
    for method in recipe.methods[1:]:
        if method in grids:
            settings += _of_method(recipe, method, grids[method], where)
    return settings


def with_settings(recipe: Recipe, settings: Sequence[Setting]) -> Recipe:
    """The recipe whose variants are these settings and no others."""
    variants = {
        one.name: {"method": one.method, "settings": dict(one.values)}
        for one in settings
        if one.name != one.method
    }
    return changed(recipe, variants=variants)


def changed(recipe: Recipe, **sections: Any) -> Recipe:
    """The recipe with other sections."""
    kept = {name: getattr(recipe, name) for name in type(recipe).model_fields}
    return type(recipe).model_validate({**kept, **sections})


def _of_method(
    recipe: Recipe, method: str, grid: Mapping[str, Sequence[Any]], where: str
) -> list[Setting]:
    section = recipe.section(method)
    found: dict[str, dict[str, Any]] = {}
    for combination in product(*grid.values()):
        given = dict(zip(grid, combination, strict=True))
        try:
            checked = type(section).model_validate({**section.set_fields(), **given})
        except ValidationError as error:
            fault = error.errors()[0]
            field = str(fault["loc"][0])
            value = "unknown key" if fault["type"] == "extra_forbidden" else f"{given.get(field)!r}"
            raise RecipeError(f"{where}.{method}.{field}: {value}: {fault['msg']}") from error
        values = {field: checked.value(field) for field in grid}
        if values in found.values():
            raise RecipeError(f"{where}.{method}: {words(values)} stands twice")
        found[_name(method, values, found)] = values
    own = {field: section.value(field) for field in grid}
    return [
        Setting(name=method if values == own else name, method=method, values=values)
        for name, values in found.items()
    ]


def _name(method: str, values: Mapping[str, Any], taken: Mapping[str, Any]) -> str:
    """``ppo_lr0p0005_kc0p15``: initials and values; a digest where that is too long or taken."""
    parts = []
    for field, value in values.items():
        initials = "".join(word[0] for word in field.split("_"))
        number = value_text(value).replace(".", "p").replace("-", "m").replace("+", "")
        parts.append(initials + number.lower())
    text = "_".join(parts)
    name = f"{method}_{text}"
    if len(text) > _LONGEST or not re.fullmatch(r"[a-z0-9_]+", text) or name in taken:
        written = json.dumps(values, sort_keys=True, default=str)
        name = f"{method}_at_{hashlib.sha256(written.encode()).hexdigest()[:12]}"
    return name
