"""All that a recipe can be asked before its data are read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from rlhf_compare.errors import RecipeError
from rlhf_compare.preflight.lora import lora_faults
from rlhf_compare.preflight.models import length_faults, model_faults
from rlhf_compare.preflight.trainers import trainer_faults
from rlhf_compare.preflight.trials import TryStep, refusal
from rlhf_compare.recipe import Recipe
from rlhf_compare.reward.stage import reward_arguments
from rlhf_compare.reward.trial import try_step as try_reward
from rlhf_compare.runs.arguments import StageSection
from rlhf_compare.runs.wandb_account import check_tracking
from rlhf_compare.sft.stage import sft_arguments
from rlhf_compare.sft.trial import try_step as try_sft


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
    for stage in _stages(recipe, output_dir):
        own = _faults_of(partial(_stage_faults, stage))
        lora_fits = not any(fault.startswith("model.lora") for fault in faults)
        if not own and lora_fits and stage.try_step is not None:
            refused = refusal(stage.base, stage.try_step, stage.build(), recipe.model.lora)
            own = [] if refused is None else [f"{stage.name}: {refused}"]
        # what a variant has from its method is said once
        faults += [f for f in own if f.replace(stage.name, stage.base, 1) not in faults]
    if faults:
        raise RecipeError("\n".join(dict.fromkeys(faults)))


def _stage_faults(stage: "_Stage") -> list[str]:
    args = stage.build()
    return [] if stage.try_step is None else trainer_faults(stage.name, stage.section, args)


def _faults_of(part: Callable[[], list[str] | None]) -> list[str]:
    try:
        return part() or []
    except RecipeError as error:
        return str(error).split("\n")


@dataclass(frozen=True)
class _Stage:
    """A stage or a variant of a method; ``build`` gives its arguments."""

    name: str
    base: str
    section: StageSection
    build: Callable[[], Any]
    try_step: TryStep | None


def _stages(recipe: Recipe, output_dir: str) -> Iterator[_Stage]:
    seed, probes, sft, reward = recipe.seed, recipe.evaluation.during_training, "sft", "reward"
    if not recipe.sft_is_given:
        arguments = partial(sft_arguments, recipe.sft, output_dir, seed)
        yield _Stage(sft, sft, recipe.sft, arguments, try_sft)
    arguments = partial(reward_arguments, recipe.reward, output_dir, seed)
    yield _Stage(reward, reward, recipe.reward, arguments, try_reward)
    for name in recipe.methods[1:]:
        method, section = recipe.method(name), recipe.section(name)
        arguments = partial(method.arguments, section, output_dir, seed, probes, name)
        yield _Stage(name, method.name, section, arguments, method.try_step)
