"""All that a recipe can be asked before its data are read."""

from collections.abc import Callable, Iterator
from typing import Any

from rlhf_compare.dpo.stage import dpo_arguments
from rlhf_compare.errors import RecipeError
from rlhf_compare.ppo.stage import ppo_arguments
from rlhf_compare.preflight.lora import lora_faults
from rlhf_compare.preflight.models import length_faults, model_faults
from rlhf_compare.preflight.trainers import trainer_faults
from rlhf_compare.preflight.trials import refusal
from rlhf_compare.recipe import Recipe
from rlhf_compare.reward.stage import reward_arguments
from rlhf_compare.runs.arguments import StageSection
from rlhf_compare.runs.wandb_account import check_tracking
from rlhf_compare.sft.stage import sft_arguments


def check_recipe(recipe: Recipe, output_dir: str) -> None:
    """Try everything that needs neither rows nor weights nor a network.

    Args:
        output_dir: named in the arguments; nothing is written there.

    Raises:
        RecipeError: one line a fault, each with the field, the value and the way out.
    """
    faults: list[str] = []
    for part in (
        lambda: check_tracking(recipe.tracking),
        lambda: model_faults(recipe),
        lambda: length_faults(recipe),
        lambda: lora_faults(recipe),
    ):
        faults += _faults_of(part)
    for name, section, build in _stages(recipe, output_dir):
        own = _faults_of(lambda s=section, b=build, n=name: trainer_faults(n, s, b()))  # type: ignore[misc]
        base = "reward" if name == "reward" else recipe.base(name)
        if not own and not any(fault.startswith("model.lora") for fault in faults):
            refused = refusal(base, build(), recipe.model.lora)
            own = [] if refused is None else [f"{name}: {refused}"]
        # what a variant has from its method is said once
        faults += [fault for fault in own if fault.replace(name, base, 1) not in faults]
    if faults:
        raise RecipeError("\n".join(dict.fromkeys(faults)))


def _faults_of(part: Callable[[], list[str] | None]) -> list[str]:
    try:
        return part() or []
    except RecipeError as error:
        return str(error).split("\n")


def _stages(
    recipe: Recipe, output_dir: str
) -> Iterator[tuple[str, StageSection, Callable[[], Any]]]:
    """Name, section and what builds the trainer's arguments, of every stage and variant."""
    seed, probes = recipe.seed, recipe.evaluation.during_training
    yield "sft", recipe.sft, lambda: sft_arguments(recipe.sft, output_dir, seed)
    yield "reward", recipe.reward, lambda: reward_arguments(recipe.reward, output_dir, seed)
    for method in recipe.methods[1:]:
        section = recipe.section(method)
        build = {"ppo": ppo_arguments, "dpo": dpo_arguments}[recipe.base(method)]
        yield (
            method,
            section,
            lambda b=build, s=section, m=method: b(s, output_dir, seed, probes, m),  # type: ignore[misc]
        )
