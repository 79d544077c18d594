"""Each method once more under a third of its learning rate and under three times it: how much hangs
on a setting that nobody can know beforehand.

The runs are variants of the recipe, so they share SFT and the reward models with it, resume, and
are kept. They are no columns of the report: each method has a line of them.
"""

from collections.abc import Mapping, Sequence

from rlhf_compare.recipe import Recipe, Variant

FIELD = "learning_rate"
FACTORS: Mapping[str, float] = {"lr_div3": 1 / 3, "lr_x3": 3.0}


def with_other_rates(recipe: Recipe) -> Recipe:
    """The recipe and, of each method in it that has a learning rate, two variants more."""
    others = {
        trial: Variant(
            method=name, settings={FIELD: recipe.section(name).value(FIELD) * FACTORS[suffix]}
        )
        for name in recipe.methods[1:]
        if name == recipe.base(name) and recipe.section(name).value(FIELD) is not None
        for suffix, trial in _names(name).items()
    }
    return recipe.model_copy(update={"variants": {**recipe.variants, **others}})


def trials_of(recipe: Recipe, method: str) -> dict[str, float]:
    """The variants of :func:`with_other_rates` of one method, by name -> factor; none of a recipe
    as it was read, nor of a variant."""
    return {
        trial: FACTORS[suffix]
        for suffix, trial in _names(method).items()
        if trial in recipe.variants and recipe.base(trial) == method
    }


def columns(recipe: Recipe, methods: Sequence[str]) -> list[str]:
    """Those of these methods that are columns of the report."""
    trials = {trial for method in methods for trial in trials_of(recipe, method)}
    return [method for method in methods if method not in trials]


def _names(method: str) -> dict[str, str]:
    return {suffix: f"{method}_{suffix}" for suffix in FACTORS}
