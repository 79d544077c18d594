"""A pair in one row: what stands where, who sees whom, and where a label is predicted."""

import torch

from rlhf_compare.dpo.layout import PairLayout

NONE = -100


def test_a_pair_by_hand() -> None:
    """Prompt 1 2, chosen 3 4 5, rejected 6 7; below it prompt 1, chosen 8, rejected 9 9 9."""
    ids = torch.tensor([[1, 2, 3, 4, 5], [1, 8, 0, 0, 0], [1, 2, 6, 7, 0], [1, 9, 9, 9, 0]])
    labels = torch.tensor(
        [
            [NONE, NONE, 3, 4, 5],
            [NONE, 8, NONE, NONE, NONE],
            [NONE, NONE, 6, 7, NONE],
            [NONE, 9, 9, 9, NONE],
        ]
    )
    layout = PairLayout.of(ids, labels)
    assert layout is not None
    assert layout.input_ids[0].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert layout.input_ids[1, :5].tolist() == [1, 8, 9, 9, 9]
    assert layout.position_ids[0].tolist() == [0, 1, 2, 3, 4, 2, 3]
    assert layout.position_ids[1, :5].tolist() == [0, 1, 1, 2, 3]
    # 3 is predicted at 2 (place 1), 4 at 3, 5 at 4; 8 at the second row's 1, which is place 7 + 0;
    # 6 where 3 was, 7 at 6 (place 5); 9 where 8 was, then at each 9
    assert layout.predicted_by.tolist() == [1, 2, 3, 7, 1, 5, 7, 9, 10]
    sees = layout.attention_mask[0, 0].int().tolist()
    assert sees[4] == [1, 1, 1, 1, 1, 0, 0]
    assert sees[6] == [1, 1, 0, 0, 0, 1, 1]


def test_no_place_lies_beyond_the_longest_row() -> None:
    """Padding behind a short pair would: a model of as many places as the batch is wide breaks."""
    ids = torch.tensor([[1, 2, 3, 4], [1, 8, 0, 0], [1, 5, 6, 7], [1, 9, 0, 0]])
    labels = ids.masked_fill((ids == 0) | (torch.arange(4) == 0), NONE)
    layout = PairLayout.of(ids, labels)
    assert layout is not None and layout.input_ids.shape == (2, 7)
    assert layout.position_ids[0].tolist() == [0, 1, 2, 3, 1, 2, 3]
    assert int(layout.position_ids.max()) == 3
    assert layout.input_ids[1, :3].tolist() == [1, 8, 9]


def test_what_is_no_pair_has_no_layout() -> None:
    ids = torch.tensor([[1, 2, 3], [1, 2, 4]])
    labels = torch.tensor([[NONE, NONE, 3], [NONE, NONE, 4]])
    assert PairLayout.of(ids, labels) is not None
    assert PairLayout.of(ids[:1], labels[:1]) is None
    other_prompt = torch.tensor([[1, 2, 3], [1, 5, 4]])
    assert PairLayout.of(other_prompt, labels) is None
    other_start = torch.tensor([[NONE, NONE, 3], [NONE, 2, 4]])
    assert PairLayout.of(ids, other_start) is None


def test_a_response_may_be_cut_away_whole() -> None:
    """max_length can leave a row its prompt alone."""
    ids = torch.tensor([[1, 2, 0], [1, 2, 4]])
    layout = PairLayout.of(ids, torch.tensor([[NONE] * 3, [NONE, NONE, 4]]))
    assert layout is not None
    assert layout.input_ids.tolist() == [[1, 2, 4]]
    assert layout.predicted_by.tolist() == [1]
    bare = PairLayout.of(ids, torch.full((2, 3), NONE))
    assert bare is None or bare.predicted_by.tolist() == []
