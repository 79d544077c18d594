"""Asks the judge behind an endpoint, where the recipe names one, about what a comparison left."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rlhf_compare.errors import StageFailedError
from rlhf_compare.evaluation.asking import ask_about_answers, ask_about_labels, endpoint_of
from rlhf_compare.evaluation.summary import pairs
from rlhf_compare.finished import Finished
from rlhf_compare.inputs import judge_inputs
from rlhf_compare.runs.identity import Stage
from rlhf_compare.runs.runner import StageRunner


def ask_judge(
    finished: Finished, root: Path, say: Callable[[str], None], fresh: bool = False
) -> Finished:
    """The comparison with what the judge said of it; unchanged where the recipe names no judge.

    About every two methods under every seed that both have, and about labelled pairs. An endpoint
    that does not answer ends the asking, and nothing else: what is measured stays, the reason
    stands in the results, and the next call goes on where this one stopped.

    Args:
        root: ``runs/<recipe>``.
        fresh: run these stages again; questions that were answered are not asked again.
    """
    recipe, evaluations = finished.recipe, finished.evaluations
    if recipe.evaluation.judge_url is None:
        return finished
    runner = StageRunner(root, recipe.resolved(), recipe.seed, recipe.tracking, say, fresh=fresh)
    asked: dict[tuple[str, str], dict[int, Stage]] = {}
    labels: Stage | None = None
    unasked = ""
    say(f"judge: prompts and answers go to {endpoint_of(recipe.evaluation).words}")
    try:
        labels = _about_labels(runner, finished)
        for a, b in pairs(list(evaluations), None):
            for seed in sorted(set(evaluations[a]) & set(evaluations[b])):
                stage = _about_answers(runner, finished, (a, b), seed)
                asked.setdefault((a, b), {})[seed] = stage
    except StageFailedError as error:
        unasked = str(error)
        say(f"judge: {unasked}")
    stages = {**finished.stages, **runner.stages}
    return replace(finished, stages=stages, asked=asked, labels=labels, unasked=unasked)


def _about_labels(runner: StageRunner, finished: Finished) -> Stage:
    """Every evaluation measured the same prompts, so any one names them."""
    recipe = finished.recipe
    by_seed = next(iter(finished.evaluations.values()))
    seed = min(by_seed)
    inputs = judge_inputs(recipe, {"prompts": by_seed[seed].inputs_hash})
    return runner.run(
        "endpoint-labels",
        None,
        inputs,
        lambda c: ask_about_labels(c, recipe.evaluation, by_seed[seed].directory),
        trains=False,
    )


def _about_answers(
    runner: StageRunner, finished: Finished, names: tuple[str, str], seed: int
) -> Stage:
    recipe = finished.recipe
    a, b = (finished.evaluations[name][seed] for name in names)
    inputs = judge_inputs(recipe, {"a": a.inputs_hash, "b": b.inputs_hash})
    return runner.run(
        f"endpoint-{'-'.join(names)}",
        seed,
        inputs,
        lambda c: ask_about_answers(c, recipe.evaluation, a.directory, b.directory),
        trains=False,
    )
