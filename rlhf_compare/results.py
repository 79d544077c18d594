"""Everything that was measured, as the one object that pages, tables and checks read."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rlhf_compare.evaluation.collapse import collapsed
from rlhf_compare.evaluation.stage import read_measurement, read_samples
from rlhf_compare.evaluation.summary import compare, summarise
from rlhf_compare.metrics import PROBED
from rlhf_compare.pipeline import Pipeline
from rlhf_compare.recipe import Recipe
from rlhf_compare.reporting.comparisons import main_pair
from rlhf_compare.reward.stage import read_diagnosis
from rlhf_compare.runs.files import read_json
from rlhf_compare.runs.identity import Stage
from rlhf_compare.runs.provenance import of_stage


def collect_results(
    pipeline: Pipeline, evaluations: dict[str, dict[int, Stage]], command: str
) -> dict[str, Any]:
    """The contents of ``results.json``.

    Args:
        pipeline: has run the stages; gives the recipe, the costs and the failures.
        evaluations: method -> seed -> its evaluation stage.
        command: what the user typed, so that the numbers can be had again.
    """
    measurements = {
        method: {seed: read_measurement(stage.directory) for seed, stage in by_seed.items()}
        for method, by_seed in evaluations.items()
    }
    methods = {}
    for method, by_seed in measurements.items():
        fell = [
            seed
            for seed, m in by_seed.items()
            if method != "sft"
            and seed in measurements.get("sft", {})
            and collapsed(m, measurements["sft"][seed])
        ]
        methods[method] = {
            **summarise(list(by_seed.values()), one_run=method == "sft"),
            "cost": _cost(pipeline, method, list(by_seed)),
            "training": _training(pipeline, method, list(by_seed)),
            "runs": {
                "completed": 1 if method == "sft" else len(by_seed),  # SFT is one run
                "failed": len(pipeline.failed.get(method, [])),
                "collapsed": len(fell),
            },
            "caveats": _caveats(pipeline.recipe, method),
        }
    shared = sorted(set.intersection(*(set(by_seed) for by_seed in measurements.values())))
    measured = sorted(set().union(*measurements.values()))
    return {
        "schema_version": 1,
        "recipe": pipeline.recipe.resolved(),
        "provenance": _provenance(pipeline, command, measured),
        "methods": methods,
        "comparisons": compare(measurements, _main_pair(pipeline.recipe, list(methods))),
        "reward_models": _reward_models(pipeline, measured),
        "samples": _samples(evaluations, shared),
        "failures": [
            {"method": method, "seeds": seeds, "reason": pipeline.reasons[method]}
            for method, seeds in pipeline.failed.items()
        ],
    }


def _main_pair(recipe: Recipe, names: list[str]) -> tuple[str, str] | None:
    """The pair that was asked about, as the page reads it."""
    return main_pair({"recipe": recipe.resolved(), "methods": dict.fromkeys(names)})


def _caveats(recipe: Recipe, name: str) -> list[str]:
    """What a reader of the column must know of its settings, in the method's own words."""
    if name not in recipe.methods[1:]:
        return []
    return list(recipe.method(name).caveats(recipe.section(name).given()))


def _reward_models(pipeline: Pipeline, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """What the doctor found in the reward models of this run; none where none was needed."""
    rows = []
    for seed in seeds:
        stage = pipeline.finished(f"reward-{seed}")
        if stage is not None:
            found = read_diagnosis(stage.directory).as_dict()
            del found["by_prompt"]  # for comparing reward models; no page shows it
            rows.append({"seed": seed, **found})
    return rows


def _cost(pipeline: Pipeline, method: str, seeds: Sequence[int]) -> dict[str, Any]:
    """Mean cost of a method's path over its seeds; evaluation is never charged to training."""
    stages: dict[str, dict[str, Any]] = {}
    peak, tokens = 0, {"trained": 0.0, "generated": 0.0}
    for name in pipeline.recipe.path(method):
        labels = [name] if name == "sft" else [f"{name}-{seed}" for seed in seeds]
        costs = [read_json(pipeline.root / label / "cost.json") for label in labels]
        phases: dict[str, float] = {}
        total = 0.0
        for cost in costs:
            total += (cost["total"] - cost["phases"].get("evaluate", 0.0)) / len(costs)
            for phase, seconds in cost["phases"].items():
                if phase != "evaluate":
                    phases[phase] = phases.get(phase, 0.0) + seconds / len(costs)
            peak = max(peak, cost["peak_memory_bytes"] or 0)
            for kind in tokens:
                tokens[kind] += cost["tokens"].get(kind, 0) / len(costs)
        stages[name] = {"total": total, "phases": phases}
    return {
        "device_seconds": {
            "path_total": sum(stage["total"] for stage in stages.values()),
            "stages": stages,
        },
        "peak_memory_bytes": peak or None,
        "tokens": {kind: round(count) for kind, count in tokens.items()},
        "padding_share": _padding_share([cost["tokens"] for cost in costs]),
    }


def _padding_share(tokens: list[dict[str, int]]) -> float | None:
    """Of all positions of a stage's batches, over its seeds; None where they were not counted."""
    if not all("padding" in one for one in tokens):
        return None
    padding = sum(one["padding"] for one in tokens)
    return padding / (padding + sum(one["trained"] for one in tokens))


# what an evaluation inside a run logged -> its name in the results
_POINT = {
    "eval_loss": "held_out_loss",
    **{f"eval_{metric.probe}": metric.probe for metric in PROBED},
    "eval_logratios/chosen": "logratio_chosen",
    "eval_logratios/rejected": "logratio_rejected",
}


def _training(pipeline: Pipeline, method: str, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """What the probe saw as each run of a method went on; SFT is where they start."""
    if method == "sft":
        return []
    runs = []
    for seed in seeds:
        points: dict[int, dict[str, Any]] = {}
        log = pipeline.root / f"{method}-{seed}" / "metrics.jsonl"
        if not log.is_file():  # a method that trains nothing logs nothing
            continue
        for line in log.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            seen = {name: row[key] for key, name in _POINT.items() if key in row}
            if seen:
                points.setdefault(row["step"], {"step": row["step"]}).update(seen)
        runs.append({"seed": seed, "points": [points[step] for step in sorted(points)]})
    return runs


def _provenance(pipeline: Pipeline, command: str, seeds: list[int]) -> dict[str, Any]:
    """Of the stages, not of the page: a report drawn later names the commit that trained."""
    data = pipeline.data()
    sft = pipeline.sft()
    stages = {label: of_stage(stage.directory.record()) for label, stage in pipeline.stages.items()}
    start = sft.directory.record()["provenance"]
    trees = [stage["dirty"] for stage in stages.values() if stage["dirty"] is not None]
    return {
        **{key: start[key] for key in ("commit", "versions", "device")},
        "dirty": any(trees) if trees else None,
        "stages": stages,
        "lost_to_interruptions": _lost_seconds(pipeline),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "seeds": seeds,
        "data_sha256": data.directory.record()["inputs"]["source"],
        "ledger": read_json(data.directory.path / "ledger.json"),
        "parameters": read_json(sft.directory.path / "model_size.json")["parameters"],
    }


def _lost_seconds(pipeline: Pipeline) -> dict[str, float]:
    """By stage, what was computed and then lost because a process was killed. Below a second it is
    what the end of a process takes that was stopped after a checkpoint."""
    costs = {label: stage.directory.path / "cost.json" for label, stage in pipeline.stages.items()}
    lost = {k: read_json(path).get("lost_to_interruptions", 0.0) for k, path in costs.items()}
    return {label: seconds for label, seconds in lost.items() if seconds >= 1.0}


def _samples(
    evaluations: dict[str, dict[int, Stage]], shared: Sequence[int]
) -> list[dict[str, Any]]:
    """Greedy answers of all methods to the same prompts, under the first seed that all share."""
    rows: dict[str, dict[str, Any]] = {}
    for method, by_seed in evaluations.items():
        seed = shared[0] if shared else min(by_seed)
        for prompt, answer in read_samples(by_seed[seed].directory):
            rows.setdefault(prompt, {"prompt": prompt, "held_out": True})[method] = answer
    return list(rows.values())
