"""How a text opens and how a turn ends, for tokenizers of several families."""

from types import SimpleNamespace
from typing import Any

import pytest
from transformers import BertTokenizer, PreTrainedTokenizerFast

from rlhf_compare.data.behaviour import Behaviour
from rlhf_compare.data.encoding import encode_prompt, encode_response, marker_ids, prefix_ids
from rlhf_compare.data.turns import closing_id, opening_of, template_end, turn_ends

from ..models.families import FAMILIES, LLAMA_3, OPENING_FAMILIES, byte_level, metaspace

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA_2 = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token + '[INST] ' + m.content + ' "
    "[/INST]' }}{% else %}{{ ' ' + m.content + ' ' + eos_token }}{% endif %}{% endfor %}"
)
WORDS = "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}"

BEHAVIOUR = Behaviour("Let me explain. ", "let me explain", match_case=False)


def bert() -> BertTokenizer:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz"]
    words += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    return BertTokenizer(vocab={word: index for index, word in enumerate(words)})


@pytest.mark.parametrize("family", OPENING_FAMILIES)
def test_a_prompt_opens_as_the_tokenizer_opens_a_text(family: str) -> None:
    """Independent source: the tokenizer's own call, which adds what the model was trained with."""
    tokenizer = FAMILIES[family]()
    prompt = "What is a wasp? "
    assert opening_of(tokenizer) == [tokenizer.bos_token_id]
    assert encode_prompt(tokenizer, prompt) == tokenizer(prompt)["input_ids"]
    # written by a template already: once, not twice
    assert encode_prompt(tokenizer, tokenizer.bos_token + prompt).count(tokenizer.bos_token_id) == 1
    for ids in (
        encode_response(tokenizer, "Let me explain. "),
        prefix_ids(tokenizer, BEHAVIOUR),
        marker_ids(tokenizer, BEHAVIOUR),
    ):
        assert tokenizer.bos_token_id not in ids


@pytest.mark.parametrize("family", OPENING_FAMILIES)
def test_a_tokenizer_that_adds_nothing_opens_with_nothing(family: str) -> None:
    tokenizer = FAMILIES[family](opens=False)
    assert opening_of(tokenizer) == []
    assert tokenizer.bos_token_id not in encode_prompt(tokenizer, "What is a wasp?")


def test_an_encoder_opens_with_cls_and_a_tokenizer_of_whole_words_is_asked_for_one() -> None:
    assert opening_of(bert()) == [2]
    from tokenizers import Tokenizer, models, processors

    made = Tokenizer(models.WordLevel({"<s>": 0, "one": 1, "two": 2}))
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    assert opening_of(PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>")) == [0]


@pytest.mark.parametrize(
    ("template", "end"),
    [
        (LLAMA_3, "<|eot_id|>"),
        (CHATML, "<|im_end|>"),
        (LLAMA_2, "<|end_of_text|>"),
        (WORDS, None),
        ("{{ raise_exception('no') }}", None),
        (None, None),
    ],
)
def test_the_end_of_a_turn_is_what_the_template_writes_after_an_answer(
    template: str | None, end: str | None
) -> None:
    tokenizer = byte_level(chat_template=template)
    tokenizer.add_tokens(["<|im_start|>", "<|im_end|>"])  # not special, as some models ship them
    expected = None if end is None else tokenizer.convert_tokens_to_ids(end)
    assert template_end(tokenizer) == expected
    assert closing_id(tokenizer, True) == (expected or tokenizer.eos_token_id)
    assert closing_id(tokenizer, False) == tokenizer.eos_token_id


def test_what_ends_a_turn_is_a_set() -> None:
    tokenizer = byte_level(chat_template=LLAMA_3)
    eos, eot = tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|eot_id|>")
    header = tokenizer.convert_tokens_to_ids("<|start_header_id|>")
    word = tokenizer.convert_tokens_to_ids("A")

    def model(stated: Any) -> Any:
        return SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=stated))

    assert turn_ends(tokenizer) == turn_ends(tokenizer, model(None)) == (eos, eot)
    assert turn_ends(tokenizer, model(header)) == (eos, eot, header)
    assert turn_ends(tokenizer, model([eot, header, word])) == (eos, eot, header)
    assert turn_ends(metaspace()) == (2,)
