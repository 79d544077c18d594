"""Preference pairs of a world: which responses are shown, and who says which one is better."""

from typing import Literal

import torch
from datasets import Dataset
from torch import Tensor

from rlhf_compare.world.enumerable import EnumerableWorld

Labels = Literal["drawn", "deterministic"]


def draw_pairs(
    world: EnumerableWorld, labels: Labels, count: int, seed: int, shown: Tensor | None = None
) -> Dataset:
    """Pairs as DPO's trainer takes them, the same number for each prompt.

    Both responses are drawn uniformly from those that are shown, so every one is covered. With
    ``drawn`` labels the chosen one follows Bradley-Terry on the gold reward, P(i over j) =
    sigmoid(r_i - r_j); with ``deterministic`` ones the higher reward always wins and pairs of
    equal reward are left out.

    Args:
        count: of pairs in all, rounded down to a multiple of the prompts.
        shown: (N, Y) boolean, the responses that pairs may show; None = all.

    Raises:
        ValueError: a prompt has no pair, for its responses or their rewards are too few.
    """
    generator = torch.Generator().manual_seed(seed)
    responses, said = world.responses.to_lists(), torch.ones_like(world.rewards, dtype=torch.bool)
    rows: dict[str, list[list[int]]] = {"prompt_ids": [], "chosen_ids": [], "rejected_ids": []}
    for place, prompt in enumerate(world.prompts):
        allowed = (said if shown is None else shown)[place].nonzero().squeeze(1)
        first, second = torch.combinations(allowed).T
        margin = world.rewards[place][first] - world.rewards[place][second]
        if labels == "deterministic":
            first, second, margin = (t[margin != 0] for t in (first, second, margin))
        if not len(margin):
            raise ValueError(f"prompt {prompt} has no pair among {len(allowed)} shown responses")
        drawn = torch.randint(len(margin), (count // len(world.prompts),), generator=generator)
        chance = torch.sigmoid(margin[drawn]) if labels == "drawn" else (margin[drawn] > 0).double()
        wins = torch.rand(len(drawn), generator=generator, dtype=torch.float64) < chance
        chosen = torch.where(wins, first[drawn], second[drawn]).tolist()
        rejected = torch.where(wins, second[drawn], first[drawn]).tolist()
        rows["prompt_ids"] += [list(prompt)] * len(drawn)
        rows["chosen_ids"] += [responses[i] for i in chosen]
        rows["rejected_ids"] += [responses[i] for i in rejected]
    return Dataset.from_dict(rows)
