"""Small sources and what was prepared from them."""

import pytest
from transformers import PreTrainedTokenizerFast

from rlhf_compare.models.tokenizer import train_tokenizer


@pytest.fixture(scope="module")
def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte: lengths can be counted by hand."""
    return train_tokenizer([], vocab_size=257)
