"""The order of batches where batches hold rows of like length (``group_by_length``)."""

from collections.abc import Iterator
from typing import Any

import torch
from transformers.trainer_pt_utils import LengthGroupedSampler, get_length_grouped_indices

_MOST = 50  # batches of a stretch, as transformers' default


class ShuffledLengthSampler(LengthGroupedSampler):
    """transformers' grouping, with the batches of a stretch in random order.

    transformers draws the rows in random order, cuts that order into stretches of up to 50 batches
    and sorts each stretch from long to short. So the last batches of a stretch are its shortest
    rows, and a policy is whatever those rows made of it last: KL and length swing with the stretch.
    Here the batches are the same and their order within a stretch is drawn at random. The first
    batch stays first: it holds the longest row, so that too little memory shows at once. An
    incomplete last batch stays last.

    Draws from the same random numbers as transformers' sampler, after it.
    """

    def __iter__(self) -> Iterator[int]:
        size = self.batch_size
        stretch = max(1, min(len(self.lengths) // (size * 4), _MOST))  # of batches
        rows = get_length_grouped_indices(
            self.lengths, size, mega_batch_mult=stretch, generator=self.generator
        )
        batches = [rows[start : start + size] for start in range(0, len(rows), size)]
        whole = len(rows) // size
        order: list[int] = []
        for start in range(0, len(batches), stretch):
            numbers = torch.arange(start, min(start + stretch, len(batches)))
            fixed = (numbers == 0) | (numbers >= whole)
            free = numbers[~fixed]
            if len(free) > 1:
                numbers[~fixed] = free[torch.randperm(len(free), generator=self.generator)]
            order += numbers.tolist()
        return iter([row for number in order for row in batches[number]])


def shuffled(sampler: Any) -> Any:
    """The sampler of a Trainer, its batches shuffled where transformers grouped them by length."""
    if type(sampler) is not LengthGroupedSampler:
        return sampler
    return ShuffledLengthSampler(
        sampler.batch_size, lengths=sampler.lengths, generator=sampler.generator
    )
