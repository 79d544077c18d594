"""What is known once the data are prepared, and still before SFT trains for hours."""

from collections.abc import Callable, Collection, Sequence

from rlhf_compare.data.store import DataDirectory
from rlhf_compare.data.views import prompt_view
from rlhf_compare.errors import RecipeError
from rlhf_compare.ppo.setup import require_one_rollout
from rlhf_compare.ppo.stage import ppo_arguments
from rlhf_compare.preflight.lora import head_faults, lora_faults
from rlhf_compare.preflight.models import length_faults
from rlhf_compare.recipe import Recipe


def check_rows(
    recipe: Recipe, data: DataDirectory, methods: Sequence[str], output_dir: str
) -> None:
    """Hold the settings against the rows, and a model from the hub against its configuration, which
    came with its tokenizer.

    Args:
        methods: those that will train.
        output_dir: named in the arguments; nothing is written there.

    Raises:
        RecipeError: one line a fault.
    """
    faults = _rollout_faults(recipe, data, methods, output_dir)
    if recipe.model.hub_id is not None:
        faults += [*length_faults(recipe), *lora_faults(recipe)]
    if any(recipe.base(name) == "dpo" for name in methods):
        faults += head_faults(recipe)
    if faults:
        raise RecipeError("\n".join(faults))


def _rollout_faults(
    recipe: Recipe, data: DataDirectory, methods: Collection[str], output_dir: str
) -> list[str]:
    wanted = [name for name in methods if recipe.base(name) == "ppo"]
    if not wanted:
        return []
    prompts = len(prompt_view(data.train(), "ppo"))
    return [
        fault
        for name in wanted
        if (fault := _fault_of(name, lambda n=name: _try_rollout(recipe, n, prompts, output_dir)))  # type: ignore[misc]
    ]


def _try_rollout(recipe: Recipe, name: str, prompts: int, output_dir: str) -> None:
    args = ppo_arguments(recipe.section(name), output_dir, recipe.seed, name=name)
    require_one_rollout(prompts, args)


def _fault_of(name: str, check: Callable[[], None]) -> str | None:
    try:
        check()
    except ValueError as error:
        return f"{name}: {error}"
    return None
