"""What is known once the data are prepared, and still before SFT trains for hours."""

from collections.abc import Sequence
from pathlib import Path

from rlhf_compare.data.encoding import marker_ids
from rlhf_compare.data.store import DataDirectory
from rlhf_compare.data.views import prompt_view
from rlhf_compare.errors import RecipeError
from rlhf_compare.models.tokenizer import load_tokenizer
from rlhf_compare.preflight.lora import head_faults, lora_faults
from rlhf_compare.preflight.models import hub_faults, length_faults
from rlhf_compare.recipe import Recipe
from rlhf_compare.runs.method import Method

_TOKENS = ("eos_token", "pad_token")


def check_rows(
    recipe: Recipe, data: DataDirectory, methods: Sequence[str], output_dir: str
) -> None:
    """Hold the settings against the rows, and a model from the hub, a file or a wheel against its
    configuration, which came with its tokenizer.

    Args:
        methods: those that will train.
        output_dir: named in the arguments; nothing is written there.

    Raises:
        RecipeError: one line a fault.
    """
    trained = [(name, recipe.method(name)) for name in methods if name != "sft"]
    faults = _settings_faults(recipe, data, trained, output_dir)
    if recipe.model.config is None:
        faults += [*length_faults(recipe), *lora_faults(recipe)]
    readers = [name for name, method in trained if method.reads_head]
    if readers:
        faults += head_faults(recipe, readers)
    backbone = recipe.section("reward").set_fields().get("backbone")
    needed = any("reward" in method.needs for _, method in trained)
    if needed and isinstance(backbone, str) and not Path(backbone).exists():
        faults += hub_faults("reward.backbone", backbone)
    faults += _token_faults(recipe, data, methods) + _marker_faults(recipe, data, methods)
    if faults:
        raise RecipeError("\n".join(faults))


def _token_faults(recipe: Recipe, data: DataDirectory, methods: Sequence[str]) -> list[str]:
    """Tokens that a stage's trainer is told to use and the policy's tokenizer does not have."""
    stages = dict.fromkeys(stage for name in methods for stage in recipe.path(name))
    given = [
        (s, field, recipe.section(s).set_fields().get(field)) for s in stages for field in _TOKENS
    ]
    named = [(stage, field, token) for stage, field, token in given if token is not None]
    if not named:
        return []
    known = load_tokenizer(data.tokenizer).get_vocab()
    return [
        f"{stage}.{field}: the policy's tokenizer has no token {token!r}; leave it out"
        for stage, field, token in named
        if token not in known
    ]


def _marker_faults(recipe: Recipe, data: DataDirectory, methods: Sequence[str]) -> list[str]:
    """Responses too short to show the behaviour: an efficiency over 1 would follow in the
    evaluation, and a policy that samples such responses could never learn it."""
    behaviour = recipe.task.behaviour
    if behaviour is None:
        return []
    least = len(marker_ids(load_tokenizer(data.tokenizer), behaviour))
    limits = {"evaluation.max_new_tokens": recipe.evaluation.max_new_tokens}
    for name in methods:
        field = None if name == "sft" else recipe.method(name).samples
        if field is not None:
            limits[f"{name}.{field}"] = int(recipe.section(name).value(field))
    return [
        f"{field} = {length} is less than the {least} tokens of task.marker "
        f"{behaviour.marker!r}, so no response could show it; give at least {least}"
        for field, length in limits.items()
        if length < least
    ]


def _settings_faults(
    recipe: Recipe, data: DataDirectory, methods: Sequence[tuple[str, Method]], output_dir: str
) -> list[str]:
    """What the methods' own checks of their settings against the number of prompts refuse."""
    if not methods:
        return []
    rows, faults = data.train(), []
    for name, method in methods:
        if method.feed is None:
            continue
        fed = rows.filter(lambda feeds, kind=method.feed: kind in feeds, input_columns=["feeds"])
        prompts = len(prompt_view(fed, method.feed)) if len(fed) else 0
        section = recipe.section(name)
        try:
            method.check_rows(method.arguments(section, output_dir, recipe.seed, 0, name), prompts)
        except ValueError as error:
            faults.append(f"{name}: {error}")
    return faults
