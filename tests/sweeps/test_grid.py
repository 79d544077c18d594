"""Grids become settings, and settings the variants of a recipe."""

import pytest

from rlhf_compare.errors import RecipeError
from rlhf_compare.recipe import Recipe, load_recipe
from rlhf_compare.sweeps.grid import settings_of, with_settings
from tests.micro_recipe import RECIPE


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    path = tmp_path_factory.mktemp("grid") / "micro.yaml"
    path.write_text(RECIPE)
    return load_recipe(path, ["dpo.beta=0.2", "variants.dpo_old={method: dpo}"])


def test_a_grid_is_all_combinations_and_text_becomes_numbers(recipe: Recipe) -> None:
    """YAML reads 1e-3 as text; a section reads it as a number."""
    settings = settings_of(recipe, {"dpo": {"learning_rate": ["1e-3", 2], "beta": [0.1]}}, "x")
    assert [dict(one.values) for one in settings] == [
        {"learning_rate": 1e-3, "beta": 0.1},
        {"learning_rate": 2.0, "beta": 0.1},
    ]
    assert [one.name for one in settings] == ["dpo_lr0p001_b0p1", "dpo_lr2_b0p1"]
    assert str(settings[0]) == "DPO, learning_rate 0.001, beta 0.1"


def test_methods_stand_in_the_order_of_the_recipe(recipe: Recipe) -> None:
    grids = {"dpo": {"beta": [1.0]}, "ppo": {"kl_coef": [1.0]}, "grpo": {"beta": [1.0]}}
    assert [one.method for one in settings_of(recipe, grids, "x")] == ["ppo", "dpo"]


def test_the_methods_own_setting_is_the_methods_own_run(recipe: Recipe) -> None:
    settings = settings_of(recipe, {"dpo": {"beta": [0.1, 0.2]}}, "x")
    assert [one.name for one in settings] == ["dpo_b0p1", "dpo"]
    assert list(with_settings(recipe, settings).variants) == ["dpo_b0p1"]


def test_variants_are_the_settings_and_no_others(recipe: Recipe) -> None:
    settings = settings_of(recipe, {"dpo": {"beta": [0.1]}, "ppo": {"kl_coef": [0.3]}}, "x")
    changed = with_settings(recipe, settings)
    assert list(changed.variants) == ["ppo_kc0p3", "dpo_b0p1"]
    assert changed.section("dpo_b0p1").value("beta") == 0.1
    assert changed.section("dpo").value("beta") == 0.2
    assert changed.sft is recipe.sft and changed.data is recipe.data


def test_long_values_get_a_short_name_of_their_own(recipe: Recipe) -> None:
    grid = {
        "dpo": {"learning_rate": [0.000123456, 0.000123457], "lr_scheduler_type": ["polynomial"]}
    }
    names = [one.name for one in settings_of(recipe, grid, "x")]
    assert len(set(names)) == 2 and all(name.startswith("dpo_at_") for name in names)
    with_settings(recipe, settings_of(recipe, grid, "x"))


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"bata": [0.1]}, "x.dpo.bata: unknown key"),
        ({"beta": [0.1, -1.0]}, "x.dpo.beta: -1.0: Input should be greater than 0"),
        ({"beta": [0.1, "0.1"]}, "x.dpo: beta 0.1 stands twice"),
    ],
)
def test_a_grid_that_cannot_be_run_is_refused(
    recipe: Recipe, grid: dict[str, list[object]], message: str
) -> None:
    with pytest.raises(RecipeError, match=message.replace(".", r"\.")):
        settings_of(recipe, {"dpo": grid}, "x")
