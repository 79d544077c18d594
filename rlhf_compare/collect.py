"""Finished stages to the one object that pages, tables and checks read.

What is counted here is typed here; what is read from files or was measured, the contract of the
results checks at the end.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rlhf_compare.collected.origin import origin_of_start
from rlhf_compare.collected.paths import complexity_of, held_seconds, path_cost, sampling_of
from rlhf_compare.collected.runs import count_runs, sensitivity_of
from rlhf_compare.evaluation.equal import curve_of, equal_rows
from rlhf_compare.evaluation.stage import read_measurement, read_samples
from rlhf_compare.evaluation.summary import compare, summarise
from rlhf_compare.evaluation.win_rates import JUDGES, PROXY, finish, is_win_rate
from rlhf_compare.finished import Finished
from rlhf_compare.judgements import judges_of, opinions_of
from rlhf_compare.metrics import PROBED
from rlhf_compare.recipe import Recipe
from rlhf_compare.reporting.results import parse, parse_results
from rlhf_compare.reporting.schema import Failure, Results, RewardModel
from rlhf_compare.reward.stage import read_diagnosis
from rlhf_compare.runs.files import read_json
from rlhf_compare.runs.identity import Stage
from rlhf_compare.runs.learned import read_learned
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
    methods, labels = {}, _labels(recipe, list(measurements))
    for method, by_seed in measurements.items():
        methods[method] = {
            **summarise(list(by_seed.values()), one_run=method == "sft"),
            "label": labels[method],
            "baseline": _is_baseline(recipe, method),
            "cost": path_cost(finished, method, list(by_seed)),
            "training": _training(finished, method, list(by_seed)),
            "runs": count_runs(finished, method, every),
            "caveats": _caveats(recipe, method),
            "complexity": complexity_of(finished, method, list(by_seed)),
            "sensitivity": sensitivity_of(finished, method, every),
            "sampling": sampling_of(recipe, method),
        }
    main = _main_pair(finished.recipe, list(methods))
    rows = compare(measurements, main, opinions_of(finished, main))
    rates = [finish(row) for row in rows if is_win_rate(row)]
    for name, of_method in methods.items():
        of_method["win_rate_vs_sft"] = _against_sft(rates, name)
    shared = sorted(set.intersection(*(set(by_seed) for by_seed in measurements.values())))
    measured_seeds = sorted(set().union(*measurements.values()))
    return parse_results(
        {
            "schema_version": 1,
            "recipe": recipe.resolved(),
            "provenance": _provenance(finished, command, measured_seeds),
            "methods": methods,
            "comparisons": [row for row in rows if not is_win_rate(row)],
            "win_rates": rates,
            "judges": judges_of(finished, measurements),
            "equal": _equal(methods, main),
            "reward_models": _reward_models(finished, measured_seeds),
            "samples": _samples({m: finished.evaluations[m] for m in methods}, shared),
            "failures": [
                Failure(method=method, seeds=list(seeds), reason=finished.reasons[method])
                for method, seeds in finished.failed.items()
                if method in columns(recipe, recipe.methods)
            ],
        }
    )


def _against_sft(rates: Sequence[dict[str, Any]], name: str) -> dict[str, Any] | None:
    """The win rate by the first judge that no policy was trained against."""
    for judge in JUDGES:
        for row in rates if judge != PROXY else ():
            if (row["a"], row["b"], row["judge"]) == (name, "sft", judge):
                share: dict[str, Any] = row["share"]
                return share
    return None


def _main_pair(recipe: Recipe, names: list[str]) -> tuple[str, str] | None:
    """The pair that was asked about: see :func:`rlhf_compare.reporting.comparisons.main_pair`."""
    compared = (n for n in names if n != "sft" and not _is_baseline(recipe, n))
    ranked = sorted(compared, key=recipe.variants.__contains__)  # stable
    return (ranked[0], ranked[1]) if len(ranked) >= 2 else None


def _is_baseline(recipe: Recipe, name: str) -> bool:
    return name in recipe.methods[1:] and recipe.method(name).baseline


def _labels(recipe: Recipe, names: Sequence[str]) -> dict[str, str]:
    """What each column is called; a second column of the same label has its own name behind it."""
    labels: dict[str, str] = {}
    for name in names:
        label = recipe.label(name)
        labels[name] = f"{label} ({name})" if label in labels.values() else label
    return labels


def _caveats(recipe: Recipe, name: str) -> list[str]:
    """What a reader of the column must know of its settings, in the method's own words."""
    if name not in recipe.methods[1:]:
        return []
    return list(recipe.method(name).caveats(recipe.section(name).set_fields()))


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
    "eval_seconds": "seconds",
    "eval_samples": "samples",
}


def _training(finished: Finished, method: str, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """What the probe saw as each run of a method went on; SFT is where they start."""
    if method == "sft":
        return []
    runs, stages = [], finished.recipe.path(method)[:-1]
    for seed in seeds:
        before = {
            name: held_seconds(read_json(finished.stages[label].directory.path / "cost.json"))
            for name in stages
            for label in ["sft" if name == "sft" else f"{name}-{seed}"]
        }
        points: dict[int, dict[str, Any]] = {}
        log = finished.stages[f"{method}-{seed}"].directory.path / "metrics.jsonl"
        if not log.is_file():  # a method that trains nothing logs nothing
            continue
        rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        for row in rows:
            seen = {name: row[key] for key, name in _POINT.items() if key in row}
            if seen:
                points.setdefault(row["step"], {"step": row["step"]}).update(seen)
        if 0 in points:
            points[0] = {**_start(rows), **points[0]}
        run = {"seed": seed, "points": [points[step] for step in sorted(points)]}
        runs.append({**run, "before": before})
    return runs


def _equal(
    methods: Mapping[str, Mapping[str, Any]], pair: tuple[str, str] | None
) -> list[dict[str, Any]]:
    """The main pair at equal things, from its training runs that were probed."""
    if pair is None:
        return []
    curves = {}
    for name in pair:
        found = {run["seed"]: curve_of(run) for run in methods[name]["training"]}
        curves[name] = {seed: curve for seed, curve in found.items() if curve is not None}
    return equal_rows(curves, pair)


def _start(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a probe would have seen before the first step: the policy was the reference, so its
    drift was 0, and its adoption is the base rate that later probes of the run saw."""
    drift = {"kl_exact": 0.0} if any("eval_kl_exact" in row for row in rows) else {}
    rates = [row["eval_base_rate"] for row in rows if "eval_base_rate" in row]
    return {"step": 0, **({"adoption_exact": rates[0]} if rates else {}), **drift}


def _provenance(finished: Finished, command: str, seeds: list[int]) -> dict[str, Any]:
    """Of the stages, not of the page: a report drawn later names the commit that trained."""
    data, sft = finished.stages["data"], finished.stages["sft"]
    stages = {label: of_stage(stage.directory.record()) for label, stage in finished.stages.items()}
    start = sft.directory.record()["provenance"]
    origin = origin_of_start(sft)
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
        "learned": _learned(finished),
        **({} if origin is None else {"origin": origin}),
        "parameters": read_json(sft.directory.path / "model_size.json")["parameters"],
    }


def _learned(finished: Finished) -> dict[str, dict[str, Any]]:
    """By stage, what it counted itself; stages that train nothing are not in it."""
    found = {label: read_learned(stage.directory) for label, stage in finished.stages.items()}
    return {label: asdict(learned) for label, learned in found.items() if learned is not None}


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
