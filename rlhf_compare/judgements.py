"""What judges said, out of finished stages: opinions on answers, and agreement with labels."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rlhf_compare.evaluation.asking import endpoint_of, read_counts, read_opinion
from rlhf_compare.evaluation.measure import Measurement
from rlhf_compare.evaluation.preferences import Agreement
from rlhf_compare.evaluation.stage import read_judges
from rlhf_compare.evaluation.win_rates import ENDPOINT, JUDGES, Opinion, judge_agreement
from rlhf_compare.finished import Finished


def opinions_of(
    finished: Finished, main: tuple[str, str] | None
) -> dict[tuple[str, str], dict[int, Opinion]]:
    """Of an endpoint, by pair and seed; the main pair in its own order, too."""
    found = {
        names: {seed: read_opinion(stage.directory) for seed, stage in by_seed.items()}
        for names, by_seed in finished.asked.items()
    }
    if main is not None and main not in found and main[::-1] in found:
        found[main] = {seed: _turned(one) for seed, one in found[main[::-1]].items()}
    return found


def _turned(opinion: Opinion) -> Opinion:
    return replace(opinion, share=[None if one is None else 1.0 - one for one in opinion.share])


def judges_of(
    finished: Finished, measurements: Mapping[str, Mapping[int, Measurement]]
) -> list[dict[str, Any]]:
    """How far each judge agrees with the labels, as results.json holds it.

    Every evaluation of a seed asked the same reward models about the same pairs, so one a seed
    counts.
    """
    by_seed: dict[int, dict[str, Any]] = {}
    for runs in finished.evaluations.values():
        for seed, stage in runs.items():
            by_seed.setdefault(seed, read_judges(stage.directory))
    topics = next(iter(next(iter(measurements.values())).values())).topics
    rows = [
        judge_agreement(judge, [Agreement(**one[judge]) for one in by_seed.values()], (), topics)
        for judge in JUDGES
        if all(judge in one for one in by_seed.values())
    ]
    return [*rows, *_endpoint(finished, topics)]


def _endpoint(finished: Finished, topics: list[int]) -> list[dict[str, Any]]:
    if finished.recipe.evaluation.judge_url is None:
        return []
    known = {"judge": ENDPOINT, "accuracy": None, "ties": None, "consistent": None}
    stages = [stage for by_seed in finished.asked.values() for stage in by_seed.values()]
    if finished.labels is not None:
        said = read_opinion(finished.labels.directory)
        found = Agreement(accuracy=list(said.share), ties=list(said.ties))
        known = judge_agreement(ENDPOINT, [found], said.consistent, topics)
        stages.append(finished.labels)
    asked, unreadable = (
        sum(counts) for counts in zip(*(read_counts(s.directory) for s in stages), strict=True)
    ) if stages else (0, 0)  # fmt: skip
    words = endpoint_of(finished.recipe.evaluation).words
    if unreadable:
        words += f" ({unreadable:,} of {asked:,} replies were no verdict and count nowhere)"
    return [{**known, "words": words, "reason": finished.unasked}]
