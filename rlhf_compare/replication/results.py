"""``replication.json``: every headline number of the first seeds against that of fresh ones."""

import json
from pathlib import Path
from typing import Literal

from rlhf_compare.metrics import Style
from rlhf_compare.reporting.method_schema import Estimate
from rlhf_compare.reporting.results import load
from rlhf_compare.reporting.schema_types import Count, Name, Part, Text
from rlhf_compare.runs.files import replace_text

Outcome = Literal["same", "not shown again", "newly shown", "reversed", "not decided"]
Kind = Literal["no difference", "differs", "not decided"]


class Difference(Part):
    """before - fresh and its 95 % interval, which there is from three seeds a side on."""

    mean: float
    low: float | None
    high: float | None
    p_value: float | None

    @property
    def interval(self) -> tuple[float, float] | None:
        return None if self.low is None or self.high is None else (self.low, self.high)


class Change(Part):
    """One number of a method, or of a pair, under earlier seeds and under fresh ones.

    of         in words, for instance ``PPO`` or ``PPO - DPO``
    methods    one, or the pair
    what       the metric in words; unit: empty for shares
    before     under the first seeds; of a search, on its own prompts and seeds
    kind       what the interval shows
    verdict    the same in words
    """

    of: Text
    methods: list[Name]
    what: Text
    unit: Text
    style: Style
    before: Estimate
    fresh: Estimate
    difference: Difference
    kind: Kind
    verdict: Text


class Answer(Part):
    """Who is higher in a headline metric, by the first results and by the fresh ones."""

    what: Text
    before: Text
    fresh: Text
    outcome: Outcome


class Side(Part):
    """Where the numbers of one side come from."""

    file: Text
    command: Text
    commit: Text | None
    device: Text
    created: Text
    seeds: list[Count]


class Replication(Part):
    """Everything that the page holds.

    pair       labels of the two methods that were asked about; empty where fewer ran
    sides      by name: first, fresh, and tuning where its log was given
    changes    the numbers of first and fresh
    answers    of the pair
    tuned      the chosen settings' numbers on tuning prompts and seeds, against fresh
    notes      what was left out, in sentences
    """

    schema_version: Literal[1]
    recipe: Text
    pair: list[Text]
    sides: dict[Name, Side]
    changes: list[Change]
    answers: list[Answer]
    tuned: list[Change]
    notes: list[Text]


def load_replication(path: Path) -> Replication:
    """Read and check a ``replication.json``.

    Raises:
        ResultsError: it is missing or breaks the contract.
    """
    return load(Replication, path, "run `rlhf-compare replicate` first")


def save_replication(replication: Replication, path: Path) -> None:
    """Write it whole or not at all."""
    replace_text(path, json.dumps(replication.model_dump(mode="json"), indent=1) + "\n")
