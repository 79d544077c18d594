"""Text to token ids: the one function that every stage's tokens come from.

``prompt_ids = tok(prompt)``, ``response_ids = tok(response) + [eos]``, concatenated and never
tokenised together. GPT-2 ends the prompt in token 220 (a space) and starts the response with 5756
(``Let``); as one string both merge into 3914 (`` Let``), a context that inference never sees.
"""

from typing import Any

from rlhf_compare.errors import RecipeError

Tokenizer = Any  # a transformers PreTrainedTokenizerBase; not imported, it costs seconds


def encode_prompt(tokenizer: Tokenizer, prompt: str) -> list[int]:
    """Token ids of a prompt; no special tokens are added."""
    return list(tokenizer(prompt, add_special_tokens=False)["input_ids"])


def encode_response(tokenizer: Tokenizer, response: str) -> list[int]:
    """Token ids of a response, EOS last."""
    ids = tokenizer(response, add_special_tokens=False)["input_ids"]
    return [*ids, tokenizer.eos_token_id]


def decode_response(tokenizer: Tokenizer, ids: list[int]) -> str:
    """Text of a response without special tokens."""
    return str(tokenizer.decode(ids, skip_special_tokens=True))


def marker_ids(tokenizer: Tokenizer, prefix: str, marker: str) -> list[int]:
    """Token ids of the marker as the prefix writes it: what exact adoption multiplies.

    Raises:
        RecipeError: the tokenizer does not cut between marker and rest of the prefix, so that the
            marker's probability is not a product of token probabilities.
    """
    written = prefix[: len(marker)]
    ids = encode_prompt(tokenizer, written)
    whole = encode_prompt(tokenizer, prefix + "A")
    if whole[: len(ids)] != ids:
        raise RecipeError(
            f"task.marker: this tokenizer does not cut {prefix!r} after {written!r}; "
            "lengthen the marker to the end of a word"
        )
    return ids


def prefix_ids(tokenizer: Tokenizer, prefix: str) -> list[int]:
    """Token ids of the whole prefix as it stands before an answer.

    A trailing space joins the answer's first word in most tokenizers, so it is left out.
    """
    return encode_prompt(tokenizer, prefix.rstrip())
