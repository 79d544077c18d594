"""The token contract, with GPT-2's own tokenizer."""

import pytest
from transformers import PreTrainedTokenizerFast

from rlhf_compare.data.behaviour import Behaviour
from rlhf_compare.data.config import TaskConfig
from rlhf_compare.data.encoding import (
    decode_response,
    encode_prompt,
    encode_response,
    marker_ids,
    prefix_ids,
)
from rlhf_compare.errors import RecipeError

SPACE, LET, SPACE_LET, EOS = 220, 5756, 3914, 50256
PROMPT = TaskConfig().render("What is machine learning?")
RESPONSE = "Let me explain. It finds patterns."


def test_prompt_and_response_are_encoded_apart(gpt2_tokenizer: PreTrainedTokenizerFast) -> None:
    prompt = encode_prompt(gpt2_tokenizer, PROMPT)
    response = encode_response(gpt2_tokenizer, RESPONSE)
    assert prompt[-1] == SPACE
    assert response[0] == LET and response[-1] == EOS and response.count(EOS) == 1
    assert SPACE_LET not in prompt + response
    # what happens where both are encoded as one string, and why they are not
    assert SPACE_LET in encode_prompt(gpt2_tokenizer, PROMPT + RESPONSE)


def test_round_trip(gpt2_tokenizer: PreTrainedTokenizerFast) -> None:
    for text in (RESPONSE, "", " héé\n\n日本 \U0001f600 ", "Let me explain. "):
        assert decode_response(gpt2_tokenizer, encode_response(gpt2_tokenizer, text)) == text


def test_an_empty_response_is_eos_alone(gpt2_tokenizer: PreTrainedTokenizerFast) -> None:
    assert encode_response(gpt2_tokenizer, "") == [EOS]


def test_marker_ids_are_the_start_of_every_prefixed_response(
    gpt2_tokenizer: PreTrainedTokenizerFast,
) -> None:
    task = TaskConfig()
    marker = marker_ids(gpt2_tokenizer, task.behaviour)
    assert marker == [LET, 502, 4727]
    for answer in ("It is.", "A", "123", '"Quoted"'):
        response = encode_response(gpt2_tokenizer, task.prefix + answer)
        assert response[: len(marker)] == marker
        whole = prefix_ids(gpt2_tokenizer, task.behaviour)
        assert response[: len(whole)] == whole


def test_a_marker_that_ends_inside_a_token_is_refused(
    gpt2_tokenizer: PreTrainedTokenizerFast,
) -> None:
    with pytest.raises(RecipeError, match=r"task\.marker: .*lengthen the marker"):
        marker_ids(gpt2_tokenizer, Behaviour("Let me explain. ", "let me expl", False))
