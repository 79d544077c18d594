"""The page says how settings were found, and claims no search that the recipe does not declare."""

from typing import Any

import pytest

from rlhf_compare.reporting.caveats import caveats
from rlhf_compare.reporting.choice import choice_caveats
from rlhf_compare.reporting.schema import Results

from .conftest import changed

# the made-up recipe has ppo.kl_coef 0.05 and dpo.beta 0.3
GRIDS = {"ppo": {"kl_coef": [0.05, 0.15]}, "dpo": {"beta": ["1e-1", "3e-1"]}}
NOTHING = "on the tuning prompts, which judge nothing here."


def said(results: Results, **changes: Any) -> list[str]:
    named = {path.replace("__", "."): value for path, value in changes.items()}
    return choice_caveats(changed(results, {"recipe.tuning": {"grids": GRIDS}, **named}))


def test_settings_among_those_of_the_declared_search_are_said_to_be(results: Results) -> None:
    """The text 3e-1, which YAML makes of it, is the number 0.3."""
    (sentence,) = said(results)
    assert sentence.startswith(
        "Settings of PPO and DPO are among those of the search that the recipe declares, 2 "
        "settings each (PPO kl_coef 0.05 / 0.15; DPO beta 1e-1 / 3e-1), on the tuning prompts"
    )
    assert NOTHING in sentence and "reports/tiny/tuning/tuning.md" in sentence
    assert sentence in caveats(changed(results, {"recipe.tuning": {"grids": GRIDS}}))


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe__dpo__beta": 0.5},
        {"recipe__dpo": {"learning_rate": 1e-4}},
        {"recipe__tuning": {"grids": {"ppo": GRIDS["ppo"]}}},
    ],
)
def test_a_setting_outside_its_grid_was_chosen_by_hand(
    results: Results, changes: dict[str, Any]
) -> None:
    searched, by_hand = said(results, **changes)
    assert searched.startswith("Settings of PPO are among")
    assert by_hand.startswith("Settings of DPO were chosen by hand")


def test_without_a_search_all_were_chosen_by_hand(results: Results) -> None:
    (sentence,) = choice_caveats(results)
    assert sentence.startswith("Settings of PPO and DPO were chosen by hand: the recipe declares")


def test_a_variant_has_no_search(results: Results) -> None:
    methods = {**results.methods, "dpo_low": results.methods["dpo"]}
    variants = {"dpo_low": {"method": "dpo", "settings": {"beta": 0.1}}}
    _, by_hand = said(results, methods=methods, recipe__variants=variants)
    assert by_hand.startswith("Settings of DPO low were chosen by hand")


def test_judging_on_the_tuning_prompts_is_said_to_flatter(results: Results) -> None:
    (sentence,) = said(results, recipe__evaluation={"prompts": "tuning"})
    assert NOTHING not in sentence and "flatter the chosen settings" in sentence


def test_a_recipe_of_another_form_says_nothing(results: Results) -> None:
    for tuning in ("a text", {"grids": ["ppo"]}, {"grids": {"ppo": 3, "dpo": {"beta": 1}}}):
        (sentence,) = said(results, recipe__tuning=tuning)
        assert "by hand" in sentence
