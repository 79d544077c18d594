"""Held-out responses that people ranked: how often a policy, or a reward model, orders them alike.

A policy's own order is that of log pi(y|x) / pi_ref(y|x): what it gained in probability since SFT,
which is DPO's implicit reward over beta (Rafailov et al. 2023, section 4).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor

from rlhf_compare.data.views import pair_indices
from rlhf_compare.evaluation.measure import Harness
from rlhf_compare.models.generation import Responses
from rlhf_compare.models.likelihood import response_logps
from rlhf_compare.models.scoring import Scorer
from rlhf_compare.tensors.padding import pad_sequences

ACCURACY, TIES = "preference.accuracy", "preference.ties"


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """Ranked responses to prompts, one entry a response.

    row      the ranking that a response belongs to
    prompt   token ids
    ids      token ids of the response
    score    higher = people liked it more
    place    of every ranking, the number of its prompt among those that are measured
    prompts  how many prompts are measured, also those without a ranking
    """

    row: list[int] = field(default_factory=list)
    prompt: list[list[int]] = field(default_factory=list)
    ids: list[list[int]] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    place: list[int] = field(default_factory=list)
    prompts: int

    def pairs(self) -> list[tuple[int, int, int]]:
        """(number of the prompt, better response, worse one) of all pairs that the ranking tells
        apart, responses by their numbers here."""
        rankings: list[list[int]] = [[] for _ in self.place]
        for index, row in enumerate(self.row):
            rankings[row].append(index)
        return [
            (self.place[row], members[better], members[worse])
            for row, members in enumerate(rankings)
            for better, worse in pair_indices([self.score[i] for i in members], "all")
        ]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Agreement with the labels, one number a prompt; None where a prompt has no pair.

    accuracy  share of a prompt's pairs in the order of the labels, a tie counting one half
    ties      share of a prompt's pairs that are not told apart
    """

    accuracy: list[float | None]
    ties: list[float | None]


def ranked_on(held_out: Dataset, prompts: Sequence[str]) -> Ranked:
    """The rankings among the held-out rows on these prompts; of K responses all pairs count."""
    place = {prompt: number for number, prompt in enumerate(prompts)}
    found = Ranked(prompts=len(place))
    columns = ("prompt", "prompt_ids", "response_ids", "scores", "feeds")
    for row in held_out.select_columns(list(columns)):
        if row["prompt"] not in place or "rankings" not in row["feeds"]:
            continue
        number = len(found.place)
        found.place.append(place[row["prompt"]])
        for ids, score in zip(row["response_ids"], row["scores"], strict=True):
            found.row.append(number)
            found.prompt.append(row["prompt_ids"])
            found.ids.append(ids)
            found.score.append(score)
    return found


def agreement(ranked: Ranked, values: Sequence[float]) -> Agreement:
    """How often the response that people liked more has the higher value.

    Args:
        values: of every response of ``ranked``. Equal responses tie whatever their values: those
            differ by the rounding of a batch.
    """
    correct: list[list[float]] = [[] for _ in range(ranked.prompts)]
    for place, better, worse in ranked.pairs():
        same = ranked.ids[better] == ranked.ids[worse] or values[better] == values[worse]
        correct[place].append(0.5 if same else float(values[better] > values[worse]))
    return Agreement(
        accuracy=[_mean(shares) for shares in correct],
        ties=[_mean([float(share == 0.5) for share in shares]) for shares in correct],
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def policy_agreement(ranked: Ranked, policy: Any, reference: Any, batch_size: int) -> Agreement:
    """Of a policy, by log pi(y|x) / pi_ref(y|x); the reference itself ties everywhere."""
    own, start = (
        response_logps(model, ranked.prompt, ranked.ids, batch_size)
        for model in (policy, reference)
    )
    return agreement(ranked, [a - b for a, b in zip(own, start, strict=True)])


def scorer_agreement(
    ranked: Ranked, scorer: Scorer, pad_id: int, batch_size: int, device: torch.device
) -> Agreement:
    """Of a reward model, by its scores of the same responses."""
    order = sorted(range(len(ranked.ids)), key=lambda i: len(ranked.prompt[i] + ranked.ids[i]))
    values = [0.0] * len(order)
    for start in range(0, len(order), batch_size):
        part = order[start : start + batch_size]
        prompts = _padded([ranked.prompt[i] for i in part], pad_id, "left", device)
        ids, mask = _padded([ranked.ids[i] for i in part], pad_id, "right", device)
        responses = Responses(ids=ids, mask=mask, ended=mask.any(1))
        for index, score in zip(part, scorer(*prompts, responses).tolist(), strict=True):
            values[index] = score
    return agreement(ranked, values)


def _padded(rows: Any, pad_id: int, side: Any, device: torch.device) -> tuple[Tensor, Tensor]:
    ids, mask = pad_sequences(rows, pad_id, side)
    return ids.to(device), mask.to(device)


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """policy: columns of a measurement, none where the policy is no single model; judges: reward
    model's metric -> its agreement. Both are empty where no prompt has a pair."""

    policy: dict[str, list[float | None]]
    judges: dict[str, dict[str, list[float | None]]]


def harness_agreement(harness: Harness, policy: Any | None, ranked: Ranked) -> Labelled:
    """Of a policy and of the reward models that a harness asks, on the same pairs."""
    if not ranked.pairs():
        return Labelled(policy={}, judges={})
    size, columns = harness.config.batch_size, {}
    if policy is not None:
        found = policy_agreement(ranked, policy, harness.reference, size)
        columns = {ACCURACY: found.accuracy, TIES: found.ties}
    pad_id, device = harness.tokenizer.pad_token_id, harness.reference.device
    judges = {
        name: vars(scorer_agreement(ranked, scorer, pad_id, size, device))
        for name, scorer in harness.scorers.items()
    }
    return Labelled(policy=columns, judges=judges)
