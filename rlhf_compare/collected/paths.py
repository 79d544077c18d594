"""What a method's path took and what it asks for, from the records of its stages."""

from collections.abc import Sequence
from typing import Any

from rlhf_compare.finished import Finished
from rlhf_compare.recipe import Recipe
from rlhf_compare.reporting.method_schema import (
    Cost,
    DeviceSeconds,
    Sampling,
    SeedCost,
    StageComplexity,
    StageCost,
    Tokens,
)
from rlhf_compare.runs.files import read_json

_SFT = "sft"
Record = dict[str, Any]  # a stage's cost.json


def _records(finished: Finished, method: str, seeds: Sequence[int]) -> dict[str, list[Record]]:
    """Of every stage of a path, in order: one a seed, or one that all seeds share."""
    records = {}
    for name in finished.recipe.path(method):
        labels = [name] if name == _SFT else [f"{name}-{seed}" for seed in seeds]
        stages = [finished.stages[label] for label in labels]
        records[name] = [read_json(stage.directory.path / "cost.json") for stage in stages]
    return records


def path_cost(finished: Finished, method: str, seeds: Sequence[int]) -> Cost:
    """Mean cost of a method's path over its seeds; evaluation is never charged to training."""
    records = _records(finished, method, seeds)
    stages: dict[str, StageCost] = {}
    peak, tokens = 0, {"trained": 0.0, "generated": 0.0}
    for name, costs in records.items():
        phases: dict[str, float] = {}
        for cost in costs:
            for phase, seconds in cost["phases"].items():
                if phase != "evaluate":
                    phases[phase] = phases.get(phase, 0.0) + seconds / len(costs)
            peak = max(peak, cost["peak_memory_bytes"] or 0)
            for kind in tokens:
                tokens[kind] += cost["tokens"].get(kind, 0) / len(costs)
        totals = [held_seconds(cost) for cost in costs]
        stages[name] = StageCost(total=sum(totals) / len(totals), phases=phases, by_seed=totals)
    return Cost(
        device_seconds=DeviceSeconds(
            path_total=sum(stage.total for stage in stages.values()), stages=stages
        ),
        peak_memory_bytes=peak or None,
        tokens=Tokens(trained=round(tokens["trained"]), generated=round(tokens["generated"])),
        padding_share=_padding_share([cost["tokens"] for cost in records[method]]),
        by_seed=[] if method == _SFT else _by_seed(records, seeds),
    )


def held_seconds(cost: Record) -> float:
    """Seconds of a stage that its path pays for."""
    return float(cost["total"] - cost["phases"].get("evaluate", 0.0))


def _by_seed(records: dict[str, list[Record]], seeds: Sequence[int]) -> list[SeedCost]:
    found = []
    for place, seed in enumerate(seeds):
        own = {name: costs[place if len(costs) > 1 else 0] for name, costs in records.items()}
        held = {name: held_seconds(cost) for name, cost in own.items()}
        found.append(
            SeedCost(
                seed=seed,
                path_total=sum(held.values()),
                after_sft=sum(seconds for name, seconds in held.items() if name != _SFT),
                peak_memory_bytes=max(c["peak_memory_bytes"] or 0 for c in own.values()) or None,
            )
        )
    return found


def _padding_share(tokens: list[dict[str, int]]) -> float | None:
    """Of all positions of a stage's batches, over its seeds; None where they were not counted."""
    if not all("padding" in one for one in tokens):
        return None
    padding = sum(one["padding"] for one in tokens)
    return padding / (padding + sum(one["trained"] for one in tokens))


def complexity_of(
    finished: Finished, method: str, seeds: Sequence[int]
) -> dict[str, StageComplexity]:
    """What the stages of a path ask for, SFT left out, which all paths share; as the first seed's
    stages recorded it, the others being the same code."""
    found = {}
    for name, costs in _records(finished, method, seeds).items():
        counted = costs[0].get("complexity", {})  # none where nothing trains
        if name != _SFT:
            found[name] = StageComplexity(
                models=counted.get("models", {}),
                lines=counted.get("lines", {}),
                settings=len(finished.recipe.section(name).set_fields()),
            )
    return found


def sampling_of(recipe: Recipe, method: str) -> Sampling | None:
    """How a method samples what it learns from or chooses among; None where it does not."""
    if method == _SFT:
        return None
    section, length = recipe.section(method), recipe.method(method).samples
    temperature = section.value("temperature")
    if temperature is None:
        return None
    return Sampling(
        temperature=float(temperature),
        response_length=None if length is None else int(section.value(length)),
    )
