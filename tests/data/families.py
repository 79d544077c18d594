"""Tokenizers of several families, trained on a few texts."""

from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from rlhf_compare.models.tokenizer import train_tokenizer

CORPUS = Path(__file__).parents[2] / "rlhf_compare" / "data" / "corpus" / "questions.jsonl"
CHAT = (
    "{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content }}"
    "{{ eos_token if m.role == 'assistant' else '\\n' }}{% endfor %}"
    "{{ '<|assistant|>\\n' if add_generation_prompt else '' }}"
)


def family(name: str, texts: list[str]) -> PreTrainedTokenizerFast:
    """A tokenizer of another family than GPT-2's, trained on the texts."""
    if name == "wordpiece":
        made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        made.normalizer = normalizers.BertNormalizer(lowercase=False)
        made.pre_tokenizer, made.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
        special = {"unk_token": "[UNK]", "eos_token": "[SEP]", "pad_token": "[PAD]"}
        trainer = trainers.WordPieceTrainer(
            vocab_size=600, special_tokens=list(special.values()), show_progress=False
        )
    else:
        made = Tokenizer(models.Unigram())
        made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        special = {"unk_token": "<unk>", "eos_token": "</s>", "pad_token": "<pad>"}
        trainer = trainers.UnigramTrainer(
            vocab_size=600,
            special_tokens=list(special.values()),
            unk_token="<unk>",
            show_progress=False,
        )
    made.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, **special)


def chat_tokenizer() -> PreTrainedTokenizerFast:
    lines = CORPUS.read_text(encoding="utf-8").splitlines()[:200]
    tokenizer = train_tokenizer(lines, vocab_size=600)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|user|>", "<|assistant|>"]})
    tokenizer.chat_template = CHAT
    return tokenizer
