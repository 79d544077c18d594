"""Finished stages to the one object that pages, tables and checks read.

What is counted here is typed here; what is read from files or was measured, the contract of the
results checks at the end.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rlhf_compare.collected.paths import complexity_of, path_cost, sampling_of
from rlhf_compare.collected.runs import count_runs, sensitivity_of
from rlhf_compare.evaluation.stage import read_measurement, read_samples
from rlhf_compare.evaluation.summary import compare, summarise
from rlhf_compare.finished import Finished
from rlhf_compare.metrics import PROBED
from rlhf_compare.recipe import Recipe
from rlhf_compare.reporting.results import parse, parse_results
from rlhf_compare.reporting.schema import Failure, Results, RewardModel
from rlhf_compare.reward.stage import read_diagnosis
from rlhf_compare.runs.files import read_json
from rlhf_compare.runs.identity import Stage
from rlhf_compare.runs.provenance import of_stage
from rlhf_compare.sensitivity import columns


def collect_results(finished: Finished, command: str) -> Results:
    """The contents of ``results.json``.

    Args:
        finished: the stages, of which the files are read here.
        command: what the user typed, so that the numbers can be had again.

    Raises:
        ResultsError: a number that was measured breaks the contract, for instance one that is NaN.
    """
    measurements = {
        method: {seed: read_measurement(stage.directory) for seed, stage in by_seed.items()}
        for method, by_seed in finished.evaluations.items()
    }
    every, recipe = measurements, finished.recipe
    measurements = {method: every[method] for method in columns(recipe, list(every))}
    methods = {}
    for method, by_seed in measurements.items():
        methods[method] = {
            **summarise(list(by_seed.values()), one_run=method == "sft"),
            "cost": path_cost(finished, method, list(by_seed)),
            "training": _training(finished, method, list(by_seed)),
            "runs": count_runs(finished, method, every),
            "caveats": _caveats(recipe, method),
            "complexity": complexity_of(finished, method, list(by_seed)),
            "sensitivity": sensitivity_of(finished, method, every),
            "sampling": sampling_of(recipe, method),
        }
    shared = sorted(set.intersection(*(set(by_seed) for by_seed in measurements.values())))
    measured_seeds = sorted(set().union(*measurements.values()))
    return parse_results(
        {
            "schema_version": 1,
            "recipe": recipe.resolved(),
            "provenance": _provenance(finished, command, measured_seeds),
            "methods": methods,
            "comparisons": compare(measurements, _main_pair(recipe, list(methods))),
            "reward_models": _reward_models(finished, measured_seeds),
            "samples": _samples({m: finished.evaluations[m] for m in methods}, shared),
            "failures": [
                Failure(method=method, seeds=list(seeds), reason=finished.reasons[method])
                for method, seeds in finished.failed.items()
                if method in columns(recipe, recipe.methods)
            ],
        }
    )


def _main_pair(recipe: Recipe, names: list[str]) -> tuple[str, str] | None:
    """The pair that was asked about: see :func:`rlhf_compare.reporting.comparisons.main_pair`."""
    ranked = sorted((n for n in names if n != "sft"), key=recipe.variants.__contains__)  # stable
    return (ranked[0], ranked[1]) if len(ranked) >= 2 else None


def _caveats(recipe: Recipe, name: str) -> list[str]:
    """What a reader of the column must know of its settings, in the method's own words."""
    if name not in recipe.methods[1:]:
        return []
    return list(recipe.method(name).caveats(recipe.section(name).given()))


def reward_model(stage: Stage, seed: int) -> RewardModel:
    """What the doctor found in the reward model of one seed.

    Raises:
        ResultsError: a number that was found breaks the contract of the results.
    """
    found = read_diagnosis(stage.directory).as_dict()
    del found["by_prompt"]  # for comparing reward models; no page shows it
    return parse(RewardModel, {"seed": seed, **found}, f"$.reward_models[seed {seed}]")


def _reward_models(finished: Finished, seeds: Sequence[int]) -> list[RewardModel]:
    """Those of this run; none where none was needed."""
    stages = {seed: finished.stages.get(f"reward-{seed}") for seed in seeds}
    return [reward_model(stage, seed) for seed, stage in stages.items() if stage is not None]


# what an evaluation inside a run logged -> its name in the results
_POINT = {
    "eval_loss": "held_out_loss",
    **{f"eval_{metric.probe}": metric.probe for metric in PROBED},
    "eval_logratios/chosen": "logratio_chosen",
    "eval_logratios/rejected": "logratio_rejected",
}


def _training(finished: Finished, method: str, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """What the probe saw as each run of a method went on; SFT is where they start."""
    if method == "sft":
        return []
    runs = []
    for seed in seeds:
        points: dict[int, dict[str, Any]] = {}
        log = finished.stages[f"{method}-{seed}"].directory.path / "metrics.jsonl"
        if not log.is_file():  # a method that trains nothing logs nothing
            continue
        for line in log.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            seen = {name: row[key] for key, name in _POINT.items() if key in row}
            if seen:
                points.setdefault(row["step"], {"step": row["step"]}).update(seen)
        runs.append({"seed": seed, "points": [points[step] for step in sorted(points)]})
    return runs


def _provenance(finished: Finished, command: str, seeds: list[int]) -> dict[str, Any]:
    """Of the stages, not of the page: a report drawn later names the commit that trained."""
    data, sft = finished.stages["data"], finished.stages["sft"]
    stages = {label: of_stage(stage.directory.record()) for label, stage in finished.stages.items()}
    start = sft.directory.record()["provenance"]
    trees = [stage["dirty"] for stage in stages.values() if stage["dirty"] is not None]
    return {
        **{key: start[key] for key in ("commit", "versions", "device")},
        "dirty": any(trees) if trees else None,
        "stages": stages,
        "lost_to_interruptions": _lost_seconds(finished),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "seeds": seeds,
        "data_sha256": data.directory.record()["inputs"]["source"],
        "ledger": read_json(data.directory.path / "ledger.json"),
        "parameters": read_json(sft.directory.path / "model_size.json")["parameters"],
    }


def _lost_seconds(finished: Finished) -> dict[str, float]:
    """By stage, what was computed and then lost because a process was killed. Below a second it is
    what the end of a process takes that was stopped after a checkpoint."""
    costs = {label: stage.directory.path / "cost.json" for label, stage in finished.stages.items()}
    lost = {k: read_json(path).get("lost_to_interruptions", 0.0) for k, path in costs.items()}
    return {label: seconds for label, seconds in lost.items() if seconds >= 1.0}


def _samples(
    evaluations: Mapping[str, Mapping[int, Stage]], shared: Sequence[int]
) -> list[dict[str, Any]]:
    """Greedy answers of all methods to the same prompts, under the first seed that all share."""
    rows: dict[str, dict[str, Any]] = {}
    for method, by_seed in evaluations.items():
        seed = shared[0] if shared else min(by_seed)
        for prompt, answer in read_samples(by_seed[seed].directory):
            rows.setdefault(prompt, {"prompt": prompt, "held_out": True})[method] = answer
    return list(rows.values())
