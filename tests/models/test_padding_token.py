"""A saved reward model scores a batch of two in plain transformers, EOS included."""

from pathlib import Path

import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    GPT2Model,
    PreTrainedTokenizerFast,
)

from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.models.padding_token import padded_beside_eos

from ..conftest import small_config

TEXTS = ["a question<|endoftext|>", "one more question, and a longer one<|endoftext|>"]


def test_a_batch_of_two_scores_as_each_alone(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = ScalarHeadModel(GPT2Model(small_config(tokenizer)), init_std=1.0).eval()
    padded = padded_beside_eos(tokenizer)
    model.save_pretrained(tmp_path, pad_token_id=padded.pad_token_id)
    padded.save_pretrained(tmp_path)
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    read = AutoTokenizer.from_pretrained(tmp_path)
    batch = read(TEXTS, return_tensors="pt", padding=True, padding_side="right")
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]  # as training wrote them
    ours = torch.cat([model(torch.tensor([i]), torch.ones(1, len(i))).logits for i in ids])
    with torch.no_grad():
        torch.testing.assert_close(plain(**batch).logits, ours, rtol=1e-5, atol=1e-6)
    assert len(ids[0]) != len(ids[1]) and all(i[-1] == tokenizer.eos_token_id for i in ids)


def test_texts_are_cut_as_before_and_nothing_is_added(tokenizer: PreTrainedTokenizerFast) -> None:
    padded = padded_beside_eos(tokenizer)
    assert padded.pad_token_id != padded.eos_token_id and len(padded) == len(tokenizer)
    assert tokenizer.pad_token_id == tokenizer.eos_token_id  # the caller's own stays
    for text in ("some text", "çĝ Ā ö\n\x00", TEXTS[1]):
        assert padded(text)["input_ids"] == tokenizer(text)["input_ids"]


def test_a_padding_of_its_own_stays(tokenizer: PreTrainedTokenizerFast) -> None:
    own = padded_beside_eos(tokenizer)
    assert padded_beside_eos(own) is own
