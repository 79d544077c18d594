"""What a stage depends on is the same before and after it was written as JSON."""

import json
from pathlib import Path

from rlhf_compare.inputs import data_inputs, evaluation_inputs, method_inputs, sft_inputs
from rlhf_compare.recipe import load_recipe

RECIPES = Path(__file__).parents[1] / "recipes"


def test_a_record_of_the_inputs_does_not_differ_from_them() -> None:
    recipe = load_recipe(RECIPES / "tiny.yaml", ["evaluation.questions=[]"])
    given = (
        data_inputs(recipe),
        sft_inputs(recipe, "a"),
        method_inputs(recipe, "ppo", {}),
        method_inputs(recipe, "dpo", {}),
        evaluation_inputs(recipe, "a", {}),
    )
    for inputs in given:  # else the notes would name a change that is none: [] -> ()
        assert json.loads(json.dumps(inputs)) == inputs
