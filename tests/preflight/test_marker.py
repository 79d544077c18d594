"""Responses that are too short to show the behaviour are refused before SFT trains."""

from pathlib import Path
from typing import Any

import pytest

from rlhf_compare.data.encoding import marker_ids
from rlhf_compare.errors import RecipeError
from rlhf_compare.preflight import check_rows
from rlhf_compare.recipe import Recipe, load_recipe

from .rows import data_with

MORE = Path(__file__).resolve().parents[2] / "recipes" / "tiny_more.yaml"


def recipe_of(*overrides: str) -> Recipe:
    return load_recipe(MORE, overrides)


def faults(recipe: Recipe, data: Any) -> list[str]:
    try:
        check_rows(recipe, data, recipe.methods, "x")
    except RecipeError as error:
        return str(error).split("\n")
    return []


@pytest.mark.parametrize(
    "field", ["evaluation.max_new_tokens", "ppo.response_length", "grpo.max_completion_length"]
)
def test_a_response_without_room_for_the_marker_is_refused(
    field: str, tmp_path: Path, tokenizer: Any
) -> None:
    data = data_with(tmp_path, tokenizer, 128)
    behaviour = recipe_of().task.behaviour
    assert behaviour is not None
    least = len(marker_ids(tokenizer, behaviour))
    assert least > 1
    assert faults(recipe_of(f"{field}={least}"), data) == []
    (fault,) = faults(recipe_of(f"{field}={least - 1}"), data)
    assert fault == (
        f"{field} = {least - 1} is less than the {least} tokens of task.marker 'let me explain', "
        f"so no response could show it; give at least {least}"
    )


def test_a_task_without_a_marker_has_no_least_length(tmp_path: Path, tokenizer: Any) -> None:
    data = data_with(tmp_path, tokenizer, 128)
    short = ("task={name: preference}", "evaluation.max_new_tokens=1")
    assert faults(recipe_of(*short), data) == []
