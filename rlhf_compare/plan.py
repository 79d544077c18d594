"""What a command would do: which seeds, which stages, from which recipe."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from rlhf_compare.data.config import MAX_SEED
from rlhf_compare.errors import UserError

_MANY_SEEDS = 1000


def seeds_of(text: str) -> list[int]:
    """The seeds of ``0 1 2``, ``0,3`` or ``0-4``.

    Raises:
        UserError: none, one twice, one below 0 or above what numpy takes, or no number.
    """
    try:
        seeds = [seed for part in text.replace(",", " ").split() for seed in _part(part)]
    except ValueError as error:
        raise UserError(f'--seeds: {text!r}: write whole numbers, for instance "0 1 2"') from error
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds: {text!r}: give different whole numbers, none below 0")
    if max(seeds) > MAX_SEED:
        raise UserError(f"--seeds: {max(seeds)}: no seed may be over {MAX_SEED}")
    return seeds


def _part(part: str) -> Sequence[int]:
    """One seed, or those from ``0-4``."""
    first, dash, last = part.partition("-")
    if first and dash:
        if int(last) - int(first) > _MANY_SEEDS:
            raise UserError(f"--seeds: {part!r}: more than {_MANY_SEEDS} seeds")
        return range(int(first), int(last) + 1)
    return [int(part)]


def stage_labels(pipeline: Any, methods: Sequence[str], seeds: Sequence[int]) -> list[str]:
    """The run directories of methods, a line each stage, in order."""
    stages = dict.fromkeys(stage for method in methods for stage in pipeline.recipe.path(method))
    lines = ["data"]
    for stage in stages:
        lines.append(stage if stage == "sft" else " ".join(f"{stage}-{seed}" for seed in seeds))
    if "reward" in stages and pipeline.recipe.data.judge_share:
        lines.append(" ".join(f"judge-{seed}" for seed in seeds))
    for method in methods:
        lines.append(" ".join(f"evaluate-{method}-{seed}" for seed in seeds))
    if pipeline.recipe.evaluation.judge_url is not None:
        lines.append("endpoint-labels")
        for a, b in combinations(methods, 2):
            sides = (b, a) if a == "sft" else (a, b)
            lines.append(" ".join(f"endpoint-{'-'.join(sides)}-{seed}" for seed in seeds))
    return lines


def print_plan(pipeline: Any, labels: Sequence[str]) -> None:
    """The resolved recipe and what would run where; touches neither network nor disk."""
    import yaml

    from rlhf_compare.runs.wheel_download import describe

    recipe = pipeline.recipe
    print(yaml.safe_dump(recipe.resolved(), sort_keys=False, allow_unicode=True))
    hub = [f"{kind} {name}" for kind, name in _hub_ids(recipe)]
    print(f"# from the hub: {', '.join(hub) or 'nothing'}")
    if recipe.model.wheel is not None:
        print(f"# model in a wheel: {describe(recipe.model.wheel)}")
    judge = recipe.evaluation
    if judge.judge_url is not None:
        stages = sum(len(line.split()) for line in labels if line.startswith("endpoint-"))
        print(
            f"# prompts and answers go to: {judge.judge_model} at {judge.judge_url}, at most "
            f"{2 * judge.judge_prompts * stages:,} questions"
        )
    print(f"# run directories, under {pipeline.root}:")
    for label in labels:
        print(f"#   {label}")


def _hub_ids(recipe: Any) -> list[tuple[str, str]]:
    sources = [("data", source.hub_id) for source in recipe.data.all_sources]
    ids = [("model", recipe.model.hub_id), *sources]
    return [(kind, name) for kind, name in ids if name]
