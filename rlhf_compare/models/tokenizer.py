"""The tokenizer of a run: loaded with its model, or trained on the training texts."""

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from rlhf_compare.data.sources import hash_files
from rlhf_compare.errors import RecipeError, first_line
from rlhf_compare.models.config import ModelConfig
from rlhf_compare.models.wheels import WHEELS

EOS = "<|endoftext|>"


def get_tokenizer(config: ModelConfig, texts: Iterable[str]) -> PreTrainedTokenizerBase:
    """The tokenizer that belongs to the configured model.

    Args:
        texts: training texts; used only where the model starts from a configuration.
    """
    if config.config is not None:
        return train_tokenizer(texts, config.vocab_size)
    return load_tokenizer(
        str(config.path or config.hub_id), config.revision, local=bool(config.path)
    )


def tokenizer_fingerprint(config: ModelConfig) -> str | None:
    """SHA-256 of a local tokenizer's files; None if the recipe or the hub revision identifies
    it."""
    if config.wheel is not None:
        return WHEELS[config.wheel].sha256
    if config.path is None:
        return None
    if Path(config.path).is_file():  # GGUF: the tokenizer is part of the one file
        return hash_files([Path(config.path)])
    names = ("token", "vocab", "merges", "special_tokens", "chat_template", "spiece", "added")
    folder = Path(config.path)
    return hash_files(
        sorted(p for p in folder.glob("*") if p.is_file() and p.name.startswith(names))
    )


def load_tokenizer(
    origin: str | Path, revision: str | None = None, local: bool = True
) -> PreTrainedTokenizerBase:
    """Load from a directory or, where ``local`` is False, from the hub; pad falls back to EOS, and
    EOS to the token that closes an encoder's text (BERT's SEP).

    Raises:
        RecipeError: nothing loadable is there, or it has no EOS token.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            str(origin), revision=revision, local_files_only=local
        )
    except (OSError, ValueError) as error:
        raise RecipeError(f"model: no tokenizer in {origin}: {first_line(error)}") from error
    if tokenizer.eos_token_id is None:
        tokenizer.eos_token = tokenizer.sep_token
    if tokenizer.eos_token_id is None:
        raise RecipeError(f"model: the tokenizer of {origin} has no EOS token; responses need one")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE like GPT-2's, pad = EOS as with GPT-2: the hard case is the default."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=EOS, pad_token=EOS)
