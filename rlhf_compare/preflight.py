"""What can be known to fail before anything trains, so that no fault waits for hours."""

from rlhf_compare.dpo.trainer import dpo_arguments
from rlhf_compare.errors import RecipeError
from rlhf_compare.models.adapter_recipe import check_adapters
from rlhf_compare.ppo.config import PPOConfig
from rlhf_compare.ppo.stage import ppo_arguments
from rlhf_compare.recipe import Recipe
from rlhf_compare.reward.stage import reward_arguments
from rlhf_compare.sft.trainer import sft_arguments


def check_recipe(recipe: Recipe, output_dir: str) -> None:
    """Build the arguments of every stage and variant, and hold lengths against the model.

    Args:
        output_dir: named in the arguments; nothing is written there.

    Raises:
        RecipeError: a stage's arguments are refused, or its sequences are longer than the model has
            positions.
    """
    _check_lengths(recipe)
    check_adapters(recipe.model)
    sft_arguments(recipe.sft, output_dir, recipe.seed)
    reward_arguments(recipe.reward, output_dir, recipe.seed)
    probes = recipe.evaluation.during_training
    for method in recipe.methods[1:]:
        build = {"ppo": ppo_arguments, "dpo": dpo_arguments}[recipe.base(method)]
        build(recipe.section(method), output_dir, recipe.seed, probes, method)


def _check_lengths(recipe: Recipe) -> None:
    config = recipe.model.config or {}
    field = next((f for f in ("n_positions", "max_position_embeddings") if f in config), None)
    if field is None:
        return
    positions = config[field]
    prompt = recipe.data.max_prompt_length
    longest = {
        "data.max_length": recipe.data.max_length,
        "data.max_prompt_length + evaluation.max_new_tokens": prompt
        + recipe.evaluation.max_new_tokens,
    }
    for method in (m for m in recipe.methods if recipe.base(m) == "ppo"):
        given = recipe.section(method).given()
        response = given.get("response_length", PPOConfig.response_length)
        longest[f"data.max_prompt_length + {method}.response_length"] = prompt + response
    for name, length in longest.items():
        if length > positions:
            raise RecipeError(
                f"{name} = {length} is more than model.config.{field} = {positions}; "
                "lower the former or raise the latter"
            )
