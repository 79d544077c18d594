"""``section.field=value`` on the command line, in the ways that people write it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from rlhf_compare.errors import RecipeError

_PAIRS = {"{": "}", "[": "]", "(": ")"}
_DASHED = re.compile(r"--([A-Za-z_]\w*(?:\.[\w-]+)+)(?:=(.*))?", re.DOTALL)


@dataclass(frozen=True)
class Override:
    """One override.

    text   as it was given
    field  its path: ("sft", "learning_rate")
    value  as YAML reads it
    """

    text: str
    field: tuple[str, ...]
    value: Any


def parse(text: str) -> Override:
    """Read one override.

    Raises:
        RecipeError: no ``=``, an empty name, or a value that is not YAML.
    """
    name, equals, written = text.partition("=")
    field = tuple(name.split("."))
    if not equals or not all(field):
        raise RecipeError(f"override {text!r}: write section.field=value")
    try:
        return Override(text, field, yaml.safe_load(written))
    except yaml.YAMLError as error:
        raise RecipeError(f"override {text!r}: the value is not YAML") from error


def apply(values: dict[str, Any], override: Override) -> None:
    """Set the field; sections on the way to it are made where they are missing.

    Raises:
        RecipeError: what stands above the field has no fields.
    """
    *parents, leaf = override.field
    target = values
    for parent in parents:
        if target.get(parent) is None:
            target[parent] = {}
        target = target[parent]
        if not isinstance(target, dict):
            raise RecipeError(f"override {override.text!r}: {parent} has no fields")
    target[leaf] = override.value


def expand(arguments: Sequence[str]) -> list[str]:
    """A command line in which every override is written ``section.field=value``.

    ``--section.field=value`` and ``--section.field value`` are what users of other tools type;
    ``--args TEXT`` holds several arguments in one text, as ``make`` hands them over.

    Raises:
        RecipeError: ``--section.field`` without a value, or a bracket that never closes.
    """
    todo, done = list(arguments), list[str]()
    while todo:
        word = todo.pop(0)
        if word == "--args" and todo:
            todo[:1] = split(todo[0])
        elif not (dashed := _DASHED.fullmatch(word)):
            done.append(word)
        elif dashed[2] is not None:
            done.append(f"{dashed[1]}={dashed[2]}")
        elif todo and (not todo[0].startswith("--")):
            done.append(f"{dashed[1]}={todo.pop(0)}")
        else:
            raise RecipeError(f"override {word!r}: no value; write {dashed[1]}=value")
    return done


def split(text: str) -> list[str]:
    """Arguments in one text: at spaces, but not inside quotes or brackets.

    ``model.lora={r: 16, lora_alpha: 32} task.prefix='a: b'`` is two. Quotes behind a ``=`` are
    YAML's and stay; others are the shell's and go.
    """
    words, word, closing, quote, begun, kept = [], "", list[str](), "", False, ""
    for character in text:
        if quote:
            word += character if character != quote else kept
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote, begun = character, True
            kept = character if "=" in word else ""
            word += kept
        elif character.isspace() and not closing:
            words += [word] if word or begun else []
            word, begun = "", False
        else:
            closing += [_PAIRS[character]] if character in _PAIRS and "=" in word else []
            if closing and character == closing[-1]:
                closing.pop()
            word += character
    if quote or closing:
        raise RecipeError(f"override {text!r}: {quote or closing[-1]} is missing at the end")
    return [*words, word] if word or begun else words
