"""A model of a few weights and a tokenizer of five words: what a trainer is tried on before a run.

Trainers refuse combinations of settings that no single setting tells of; each stage builds its own
trainer on these in its module ``trial``.
"""

from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
    Trainer,
)

_WORDS = ["[UNK]", "[PAD]", "[EOS]", "a", "b"]
_EOS = _WORDS.index("[EOS]")
PROMPT, BETTER, WORSE = [3, 4], [3, _EOS], [4, _EOS]  # token ids of one pair


def trial_policy(length: int = 0) -> GPT2LMHeadModel:
    """A causal model with at least ``length`` positions."""
    return GPT2LMHeadModel(_config(length))


def trial_scorer(length: int = 0) -> GPT2ForSequenceClassification:
    """A reward model with at least ``length`` positions."""
    return GPT2ForSequenceClassification(_config(length))


def trial_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer of both."""
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(_WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]", eos_token="[EOS]"
    )


def one_step(args: Any) -> Any:
    """The same arguments, for one step on one batch."""
    args.gradient_accumulation_steps = args.max_steps = 1
    return args


def train_once(trainer: Trainer) -> None:
    """What fails as training begins; left to the stage where processes share a model."""
    if not (trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled):
        trainer.train()


def no_probe(_: Any) -> dict[str, float]:
    """A probe that measures nothing."""
    return {}


def _config(length: int) -> GPT2Config:
    special = {"bos_token_id": _EOS, "eos_token_id": _EOS, "pad_token_id": 1}
    sizes = {"n_layer": 1, "n_head": 1, "n_embd": 4, "n_positions": max(length, 16)}
    return GPT2Config(vocab_size=len(_WORDS), num_labels=1, **sizes, **special)
