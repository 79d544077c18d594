"""Which prompts a reward model trains on, in which tokens, and how many responses of each."""

import pytest
from datasets import Dataset
from transformers import PreTrainedTokenizerFast

from rlhf_compare.errors import DataError
from rlhf_compare.reward.ranked import RankedCollator, reencode, set_aside

from .conftest import ranked_rows


def test_at_most_so_many_responses_are_drawn_anew_each_time() -> None:
    row = {"prompt_ids": [1], "response_ids": [[k] for k in range(20)], "scores": list(range(20))}
    collate = RankedCollator(0, max_responses=4)
    drawn = [collate([row, row]) for _ in range(5)]
    assert all(len(batch["groups"]) == 8 for batch in drawn)
    assert all((batch["ranks"] == batch["input_ids"][:, 1]).all() for batch in drawn)
    assert len({tuple(batch["ranks"].tolist()) for batch in drawn}) > 1


# --- which prompts


def test_rows_to_stop_by_share_no_prompt_with_the_others() -> None:
    rows = ranked_rows(0, prompts=60)
    doubled = Dataset.from_list([*rows, *[{**r, "prompt": r["prompt"].upper()} for r in rows]])
    train, validation = set_aside(doubled, 0.3)
    sides = [{prompt.lower() for prompt in side["prompt"]} for side in (train, validation)]
    assert not sides[0] & sides[1] and len(train) + len(validation) == 120
    with pytest.raises(DataError, match=r"reward\.validation_share = 1e-09 of 60 rows"):
        set_aside(rows, 1e-9)


def test_another_tokenizer_reads_the_same_texts(gpt2_tokenizer: PreTrainedTokenizerFast) -> None:
    texts = ["some text", " a few", "some text, some text, some text, some text"]
    row = {"prompt": "learn ", "responses": texts, "scores": [1.0, 2.0, 3.0]}
    short = {**row, "responses": texts[1:], "scores": [2.0, 3.0]}
    (found,) = reencode(Dataset.from_list([row, short]), gpt2_tokenizer, max_length=6)
    assert gpt2_tokenizer.decode(found["prompt_ids"]) == "learn "
    assert found["scores"] == [1.0, 2.0]  # the long one is left out, and the prompt with one left
    assert [gpt2_tokenizer.decode(ids[:-1]) for ids in found["response_ids"]] == texts[:2]
    assert {ids[-1] for ids in found["response_ids"]} == {gpt2_tokenizer.eos_token_id}
