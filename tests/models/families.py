"""Small tokenizers of the families that open texts and end turns differently."""

from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

TEXTS = [
    "What is a wasp? A wasp is a small animal with wings.",
    "Let me explain. Human and assistant, question and answer, user and system.",
    "### Question: Why is the sky blue?\n### Answer: Because of the light.",
]
OPENING_FAMILIES = ("byte_level", "metaspace", "unigram")

LLAMA_3 = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
HEADERS = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]


def byte_level(opens: bool = True, **more: Any) -> PreTrainedTokenizerFast:
    """As Llama 3's: byte-level BPE, BOS by a post-processor, turns that end in ``<|eot_id|>``."""
    special = ["<|begin_of_text|>", "<|end_of_text|>", *HEADERS]
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=330,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    if opens:
        _open(made, special[0])
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token=special[0],
        eos_token=special[1],
        additional_special_tokens=HEADERS,
        **more,
    )


def metaspace(opens: bool = True, **more: Any) -> PreTrainedTokenizerFast:
    """As Llama 2's and Mistral's: spaces are letters of the words."""
    made = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    return _with_spaces(made, trainers.BpeTrainer, opens, **more)


def unigram(opens: bool = True, **more: Any) -> PreTrainedTokenizerFast:
    """As XLM-R's and T5's: the special tokens are words of the vocabulary."""
    return _with_spaces(Tokenizer(models.Unigram()), trainers.UnigramTrainer, opens, **more)


def _with_spaces(made: Tokenizer, trainer: Any, opens: bool, **more: Any) -> Any:
    special = ["<unk>", "<s>", "</s>"]
    made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    unknown = {"unk_token": "<unk>"} if trainer is trainers.UnigramTrainer else {}
    letters = [chr(code) for code in range(32, 127)] + ["\n"]
    made.train_from_iterator(
        TEXTS * 3,
        trainer(
            vocab_size=180,
            special_tokens=special,
            initial_alphabet=letters,
            show_progress=False,
            **unknown,
        ),
    )
    if opens:
        _open(made, "<s>")
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>", **more
    )


def _open(made: Tokenizer, bos: str) -> None:
    made.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, made.token_to_id(bos))]
    )


FAMILIES = {"byte_level": byte_level, "metaspace": metaspace, "unigram": unigram}
