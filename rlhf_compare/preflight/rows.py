"""What is known once the data are prepared, and still before SFT trains for hours."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from rlhf_compare.data.store import DataDirectory
from rlhf_compare.data.views import prompt_view
from rlhf_compare.errors import RecipeError
from rlhf_compare.models.tokenizer import load_tokenizer
from rlhf_compare.ppo.setup import require_one_rollout
from rlhf_compare.ppo.stage import ppo_arguments
from rlhf_compare.preflight.lora import head_faults, lora_faults
from rlhf_compare.preflight.models import hub_faults, length_faults
from rlhf_compare.recipe import Recipe

_TOKENS = ("eos_token", "pad_token")


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
    bases = {recipe.base(name) for name in methods}
    if "dpo" in bases:
        faults += head_faults(recipe)
    backbone = recipe.section("reward").given().get("backbone")
    if "ppo" in bases and isinstance(backbone, str) and not Path(backbone).exists():
        faults += hub_faults("reward.backbone", backbone)
    faults += _token_faults(recipe, data, methods)
    if faults:
        raise RecipeError("\n".join(faults))


def _token_faults(recipe: Recipe, data: DataDirectory, methods: Sequence[str]) -> list[str]:
    """Tokens that a stage's trainer is told to use and the policy's tokenizer does not have."""
    stages = ["sft", *(["reward"] if any(recipe.base(m) == "ppo" for m in methods) else [])]
    stages += [name for name in methods if name != "sft"]
    given = [(s, field, recipe.section(s).given().get(field)) for s in stages for field in _TOKENS]
    named = [(stage, field, token) for stage, field, token in given if token is not None]
    if not named:
        return []
    known = load_tokenizer(data.tokenizer).get_vocab()
    return [
        f"{stage}.{field}: the policy's tokenizer has no token {token!r}; leave it out"
        for stage, field, token in named
        if token not in known
    ]


def _rollout_faults(
    recipe: Recipe, data: DataDirectory, methods: Collection[str], output_dir: str
) -> list[str]:
    wanted = [name for name in methods if recipe.base(name) == "ppo"]
    if not wanted:
        return []
    prompts = len(prompt_view(data.train(), "prompts"))
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
