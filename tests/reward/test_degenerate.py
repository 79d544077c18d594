"""Broken texts as rejected responses: what they are, and that they are made anew and counted."""

import pytest
import torch

from rlhf_compare.reward.config import RewardModelConfig
from rlhf_compare.reward.degenerate import KINDS, Degenerate, degenerate_response
from rlhf_compare.reward.loss import ranked_pairs
from rlhf_compare.reward.ranked import RankedCollator

END = 99
ROW = {  # the best answer is the worst one with an opening
    "prompt_ids": [7, 8],
    "response_ids": [[1, 2, 3, END], [41, 42, 43, 1, 2, 3, END]],
    "scores": [0.0, 1.0],
}
WORST, BEST = ROW["response_ids"]


def made(kind: Degenerate, row: dict, times: int = 200) -> list[list[int] | None]:
    draws = torch.Generator().manual_seed(0)
    return [degenerate_response(kind, row, draws) for _ in range(times)]


def test_a_splice_breaks_the_opening_off_and_never_is_a_whole_response() -> None:
    texts = made("spliced", ROW)
    assert {tuple(text or ()) for text in texts} == {(41, *WORST), (41, 42, *WORST)}


def test_a_cut_response_ends_too_early() -> None:
    lengths = [len(text or ()) - 1 for text in made("cut", ROW)]
    assert set(lengths) == {1, 2, 3, 4, 5}
    assert lengths.count(1) > 2 * lengths.count(5)  # log-uniform: short ones more often


def test_the_other_kinds() -> None:
    repeated = made("repeated", ROW)
    assert {tuple(text or ()) for text in repeated} == {(*[t] * 6, END) for t in BEST[:-1]}
    assert all(sorted(text or ()) == sorted(BEST) for text in made("shuffled", ROW) if text)
    assert made("echoed", ROW, 1) == [[7, 8, END]]
    assert made("empty", ROW, 1) == [[END]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_that_has_no_such_text_has_none(kind: Degenerate) -> None:
    """The shortest responses there are: whatever is made differs from every one of the row's."""
    row = {"prompt_ids": [7], "response_ids": [[5, END], [END], [7, END]], "scores": [2.0, 1.0, 0]}
    assert all(text is None or text not in row["response_ids"] for text in made(kind, row))


def test_they_stand_level_with_the_worst_and_are_made_anew() -> None:
    collate = RankedCollator(0, degenerate=("cut", "spliced"))
    batches = [collate([ROW, ROW]) for _ in range(6)]
    for batch in batches:
        assert batch["made"].tolist() == [False, False, True, True] * 2
        assert batch["ranks"].tolist() == [0.0, 1.0, 0.0, 0.0] * 2
        pairs = ranked_pairs(batch["groups"], batch["ranks"])
        assert (batch["ranks"][pairs.winners] == 1.0).all() and len(pairs.winners) == 6
    assert len({str(batch["input_ids"].tolist()) for batch in batches}) > 1
    resumed = RankedCollator(0, degenerate=("cut", "spliced"))
    resumed.epoch_begins(0, batches=5)
    assert resumed([ROW, ROW])["input_ids"].tolist() == batches[5]["input_ids"].tolist()


def test_at_most_so_many_responses_are_of_the_rows_own() -> None:
    row = {"prompt_ids": [1], "response_ids": [[k, k, END] for k in range(9)], "scores": range(9)}
    batch = RankedCollator(0, max_responses=3, degenerate=("empty",))([row])
    assert batch["made"].tolist() == [False] * 3 + [True] and batch["ranks"][-1] == 0


@pytest.mark.parametrize(
    ("kinds", "said"), [(["broken"], "'broken': not one of spliced"), (["cut", "cut"], "each kind")]
)
def test_unknown_kinds_are_refused(kinds: list, said: str, tmp_path: object) -> None:
    with pytest.raises(ValueError, match=f"degenerate: .*{said}"):
        RewardModelConfig(output_dir=str(tmp_path), degenerate=kinds, use_cpu=True, bf16=False)
