"""Batches of like length in random order: the grouping is transformers', the order is not."""

import torch
from transformers.trainer_pt_utils import LengthGroupedSampler

from rlhf_compare.runs.batches import ShuffledLengthSampler, shuffled

_LENGTHS = [1 + (37 * i) % 101 for i in range(331)]  # 20 batches of 16 and one of 11
_SIZE = 16


def batches(sampler: LengthGroupedSampler, seed: int = 0) -> list[tuple[int, ...]]:
    torch.manual_seed(seed)
    rows = list(sampler)
    return [tuple(rows[start : start + _SIZE]) for start in range(0, len(rows), _SIZE)]


def ours(seed: int = 0) -> list[tuple[int, ...]]:
    return batches(ShuffledLengthSampler(_SIZE, lengths=_LENGTHS), seed)


def theirs(seed: int = 0) -> list[tuple[int, ...]]:
    return batches(LengthGroupedSampler(_SIZE, lengths=_LENGTHS), seed)


def test_the_batches_are_those_of_transformers() -> None:
    assert sorted(ours()) == sorted(theirs())
    assert sorted(row for batch in ours() for row in batch) == list(range(331))


def test_a_batch_stays_in_its_stretch_and_its_place_there_is_random() -> None:
    stretch = 331 // (_SIZE * 4)
    where = {batch: number for number, batch in enumerate(theirs())}
    places = [where[batch] for batch in ours()]
    assert [place // stretch for place in places] == [i // stretch for i in range(21)]
    assert places != sorted(places)


def test_a_stretch_no_longer_ends_in_its_shortest_rows() -> None:
    """Of transformers' order every stretch but the first falls from long to short."""

    def falling(order: list[tuple[int, ...]]) -> bool:
        means = [sum(_LENGTHS[row] for row in batch) / len(batch) for batch in order]
        stretches = [means[start : start + 5] for start in range(5, 20, 5)]
        return all(part == sorted(part, reverse=True) for part in stretches)

    assert falling(theirs())
    assert not any(falling(ours(seed)) for seed in range(20))


def test_the_longest_row_comes_first_and_the_incomplete_batch_last() -> None:
    for seed in range(20):
        order = ours(seed)
        assert _LENGTHS[order[0][0]] == max(_LENGTHS)
        assert [len(batch) for batch in order] == [_SIZE] * 20 + [11]


def test_the_same_seed_gives_the_same_order() -> None:
    assert ours(3) == ours(3) != ours(4)


def test_other_samplers_are_left_as_they_are() -> None:
    other = torch.utils.data.SequentialSampler(range(3))
    assert shuffled(other) is other and shuffled(None) is None
    generator = torch.Generator()
    grouped = LengthGroupedSampler(_SIZE, lengths=_LENGTHS, generator=generator)
    made = shuffled(grouped)
    assert isinstance(made, ShuffledLengthSampler) and made.generator is generator
