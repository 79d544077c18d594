"""The YAML file of a recipe, and the check of its names."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from rlhf_compare.errors import RecipeError
from rlhf_compare.recipe_text.fields import SECTIONS, known_fields, owned_hint
from rlhf_compare.recipe_text.overrides import Override, apply, parse
from rlhf_compare.recipe_text.shipped import recipe_files, recipe_path
from rlhf_compare.recipe_text.suggestions import did_you_mean


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML in which a key may stand once: the last of two must not win in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for index, key in enumerate(keys):
            if key in keys[:index]:
                mark = node.value[index][0].start_mark
                raise ConstructorError(None, None, f"key {key!r} stands twice", mark)
        return super().construct_mapping(node, deep)


def read_file(path: Path) -> dict[str, Any]:
    """The sections of a recipe; one with nothing in it is left out.

    Args:
        path: a file, or the name of a recipe that comes with the package.

    Raises:
        RecipeError: not there, not text, not YAML, or no sections.
    """
    try:
        text = recipe_path(path).read_text(encoding="utf-8")
        values = yaml.load(text, Loader=_StrictLoader)
    except OSError as error:
        here = sorted(str(p) for p in (*Path().glob("*.yaml"), *Path("recipes").glob("*.yaml")))
        known = f"here: {', '.join(here)}; " if here else ""
        known += f"by name: {', '.join(recipe_files())}"
        raise RecipeError(f"recipe {path}: {error.strerror}; recipes {known}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"recipe {path}: not UTF-8 text") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise RecipeError(f"recipe {path}{where}: {problem}") from error
    if not isinstance(values, dict):
        raise RecipeError(f"recipe {path}: expected sections, got {type(values).__name__}")
    return _without_empty(values)


def read_recipe(path: Path, texts: Sequence[str] = ()) -> tuple[dict[str, Any], list[Override]]:
    """A recipe's values with the overrides applied; ``null`` takes a section or a variant away, and
    with a method's section its variants.

    Returns:
        The values and the overrides, so that a later fault can be blamed on the one that made it.

    Raises:
        RecipeError: the file cannot be read, or an override is none.
    """
    values = read_file(path)
    overrides = [parse(text) for text in texts]
    for override in overrides:
        apply(values, override)
    gone = {one.field[0] for one in overrides if values.get(one.field[0]) is None}
    values = _without_empty(values)
    variants = values.get("variants")
    if isinstance(variants, dict):
        values["variants"] = {
            name: variant
            for name, variant in variants.items()
            if variant is not None
            and not (isinstance(variant, dict) and variant.get("method") in gone)
        }
    return values, overrides


def check_names(path: Path, texts: Sequence[str] = ()) -> str:
    """Read a recipe and check the names in it, in a fraction of a second: no training library is
    imported for it, whose types have the last word.

    Returns:
        The name of the recipe, as it stands there.

    Raises:
        RecipeError: one line a fault.
    """
    values, overrides = read_recipe(path, texts)
    faults = [blame(path, overrides, *fault) for fault in _name_faults(values)]
    if faults:
        raise RecipeError("\n".join(faults))
    return str(values.get("name", ""))


def blame(path: Path, overrides: Sequence[Override], location: Sequence[str], text: str) -> str:
    """A fault with whoever made it: the last override that says the field, else the file."""
    field = tuple(location)
    for override in reversed(overrides):
        shared = min(len(field), len(override.field))
        if shared and override.field[:shared] == field[:shared]:
            return f"override {override.text!r} of {path}: {text}"
    return f"{path}: {text}"


def _without_empty(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _name_faults(values: Mapping[Any, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Where a name is unknown, and what to say."""
    for section, content in values.items():
        if not isinstance(section, str):
            continue  # said by the types' own check
        if section not in SECTIONS:
            meant = did_you_mean((section,), SECTIONS)
            fields = list(content) if isinstance(content, dict) else []
            if meant and len(fields) == 1:  # wandb.project was meant to be tracking.project
                meant = f"{meant[:-1]}.{fields[0]}?"
            written = ".".join([section, *fields[:1]])
            yield (section,), f"{written}: unknown key{meant}"
        elif isinstance(content, dict):
            yield from _field_faults(section, content)


def _field_faults(
    section: str, content: Mapping[Any, Any]
) -> Iterator[tuple[tuple[str, ...], str]]:
    known = known_fields(section)
    for name in content:
        if known is None or not isinstance(name, str):
            continue
        hint = owned_hint(section, name)
        if hint:
            yield (section, name), f"{section}.{name}: unknown key: {hint}"
        elif name not in known:
            near = did_you_mean((section, name), known)
            yield (section, name), f"{section}.{name}: unknown key{near}"
