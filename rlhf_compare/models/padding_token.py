"""A padding token that is not the EOS, for models that find the last token of a text by its id."""

import copy
from typing import Any

# as byte-level and byte-fallback vocabularies write the control byte 0x14, which no text holds
_CONTROL = ("\u0114", "<0x14>")


def padded_beside_eos(tokenizer: Any) -> Any:
    """The tokenizer itself where its padding is another token than its EOS; else a copy that pads
    with a token of its vocabulary that ends no text: its unknown token, its BOS, or a control byte.

    transformers' sequence classifiers read the last token that is no padding; where that is the
    EOS, they would read the token before it. No token is added, so no embedding grows.
    """
    eos = tokenizer.eos_token_id
    if tokenizer.pad_token_id not in (None, eos):
        return tokenizer
    vocabulary = tokenizer.get_vocab()
    names = (tokenizer.unk_token, tokenizer.bos_token, *_CONTROL)
    name = next((n for n in names if n in vocabulary and vocabulary[n] != eos), None)
    if name is None:
        return tokenizer
    padded = copy.deepcopy(tokenizer)
    padded.pad_token = name
    return padded
