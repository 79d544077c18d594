"""The columns that trainers take, one view a kind of rows, all cut from the same token ids."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np
from datasets import Dataset

from rlhf_compare.data.config import Feed, PairRule
from rlhf_compare.errors import DataError

_HOLDS: dict[Feed, str] = {
    "demonstrations": "an answer, a completion, or a preferred response",
    "rankings": "ranked responses: chosen and rejected, or responses and scores that differ",
    "prompts": "a question",
}


def rows_for(kind: Feed, data: Dataset) -> Dataset:
    """The rows that feed a kind.

    Raises:
        DataError: there is none.
    """
    rows = np.flatnonzero([kind in feeds for feeds in data["feeds"]])
    if len(rows) == 0:
        raise _no_rows(kind, "")
    return data if len(rows) == len(data) else data.select(rows)


def count_feeds(data: Dataset) -> dict[str, int]:
    """How many rows feed each kind."""
    return dict(Counter(chain.from_iterable(data["feeds"])))


def require_rows(feeds: Mapping[str, int], needs: Mapping[str, Feed]) -> None:
    """Assert that everything that trains has rows.

    Args:
        feeds: kind -> rows that feed it.
        needs: name of a stage or method -> the kind that it needs.

    Raises:
        DataError: no row feeds a kind; names the first in the alphabet that needs it.
    """
    for name, kind in sorted(needs.items()):
        if not feeds.get(kind):
            raise _no_rows(kind, f", which {name} needs")


def _no_rows(kind: Feed, who: str) -> DataError:
    return DataError(
        f"data: no row feeds {kind}{who} ({_HOLDS[kind]}); add such a source to data.sources, or "
        "widen its feeds"
    )


def demonstration_view(data: Dataset) -> Dataset:
    """``input_ids`` and ``completion_mask`` (1 on the response, EOS included) for SFTTrainer."""

    def columns(row: dict[str, list[int]]) -> dict[str, list[int]]:
        prompt, response = row["prompt_ids"], row["demonstration_ids"]
        return {
            "input_ids": prompt + response,
            "completion_mask": [0] * len(prompt) + [1] * len(response),
        }

    rows = rows_for("demonstrations", data)
    return rows.map(columns, remove_columns=rows.column_names)


def ranked_view(data: Dataset) -> Dataset:
    """``prompt_ids``, ``response_ids`` and ``scores``: the K responses of a prompt together, for
    a reward model's loss over all pairs. In every row some scores differ."""
    return rows_for("rankings", data).select_columns(["prompt_ids", "response_ids", "scores"])


def pairs_view(data: Dataset, rule: PairRule = "best_worst") -> Dataset:
    """``prompt_ids``, ``chosen_ids``, ``rejected_ids`` for DPOTrainer, one row a pair."""
    return _pairs(rows_for("rankings", data), rule)


def _pairs(data: Dataset, rule: PairRule) -> Dataset:
    def pairs(batch: dict[str, list[Any]]) -> dict[str, list[list[int]]]:
        prompts, chosen, rejected = [], [], []
        for prompt, responses, scores in zip(
            batch["prompt_ids"], batch["response_ids"], batch["scores"], strict=True
        ):
            for better, worse in pair_indices(scores, rule):
                prompts.append(prompt)
                chosen.append(responses[better])
                rejected.append(responses[worse])
        return {"prompt_ids": prompts, "chosen_ids": chosen, "rejected_ids": rejected}

    return data.map(pairs, batched=True, remove_columns=data.column_names)


def prompt_view(data: Dataset, kind: Feed | None = None) -> Dataset:
    """Every different prompt once, in order of appearance: ``prompt``, ``prompt_ids`` and,
    of prepared rows, ``group`` (what must not part: the number of its topic, or of the question).

    Args:
        kind: count only rows that feed it; None = all rows.
    """
    data = data if kind is None else rows_for(kind, data)
    first: dict[str, int] = {}
    for index, prompt in enumerate(data["prompt"]):
        first.setdefault(prompt, index)
    columns = [name for name in ("prompt", "prompt_ids", "group") if name in data.column_names]
    return data.select(list(first.values())).select_columns(columns)


def pair_indices(scores: Sequence[float], rule: PairRule) -> list[tuple[int, int]]:
    """(better, worse) positions among K responses; equal scores never make a pair.

    best_worst  the highest score against the lowest: one pair
    adjacent    each against the next lower one, K - 1 pairs
    all         every two, K (K - 1) / 2 pairs
    """
    order = sorted(range(len(scores)), key=lambda i: -scores[i])  # stable: the first of a tie leads
    if rule == "best_worst":
        candidates = [(order[0], order[-1])] if order else []
    elif rule == "adjacent":
        candidates = list(pairwise(order))
    else:
        candidates = [(a, b) for i, a in enumerate(order) for b in order[i + 1 :]]
    return [(a, b) for a, b in candidates if scores[a] > scores[b]]
