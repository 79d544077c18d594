"""GGUF files (llama.cpp's format): one file with quantised weights, configuration and tokenizer.

transformers reads them with the package ``gguf``. Training needs plain weights, so a file is
written once as a folder of ``save_pretrained``, in float32: a dequantised weight is a product and
a sum of half-precision numbers, which half precision would round.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from rlhf_compare.errors import RecipeError, first_line
from rlhf_compare.models.fit import fit_generation_config

ENDING = ".gguf"
READER = "gguf"  # the package
_MAGIC = b"GGUF"


def is_gguf(path: str | Path | None) -> bool:
    """Whether a recipe's path names a GGUF file, by its ending."""
    return path is not None and str(path).lower().endswith(ENDING)


def has_reader() -> bool:
    """Whether the package that reads GGUF files is installed."""
    return importlib.util.find_spec(READER) is not None


def reader_fault(field: str, file: str | Path) -> str | None:
    """Why a GGUF file cannot be read here, where the reason is a package that is missing."""
    if has_reader():
        return None
    return f"{field}: {str(file)!r} is read with the package {READER}: pip install {READER}"


def gguf_fault(field: str, file: str | Path) -> str | None:
    """Why ``file`` is no readable GGUF file, as far as its first bytes say; None if it may be one.

    The whole header takes seconds, because it holds the vocabulary.
    """
    path = Path(file)
    if not path.is_file():
        return f"{field}: no file {str(file)!r}"
    with path.open("rb") as stream:
        start = stream.read(len(_MAGIC))
    if start != _MAGIC:
        return f"{field}: {str(file)!r} does not begin as GGUF files do; it begins with {start!r}"
    return reader_fault(field, file)


def write_plain(file: Path, folder: Path) -> None:
    """Write a GGUF file as a plain model with its tokenizer and chat template, float32.

    The global random state is left as it was.

    Raises:
        RecipeError: it is no GGUF file, the package that reads it is missing, or transformers
            cannot read this architecture.
    """
    if fault := gguf_fault("model.path", file):
        raise RecipeError(fault)
    # absolute: a bare name would be looked for in the working directory first
    where: dict[str, Any] = {"gguf_file": str(file.absolute()), "local_files_only": True}
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(file.parent), **where)
        read = AutoModelForCausalLM.from_pretrained(str(file.parent), dtype=torch.float32, **where)
    except Exception as error:  # a damaged file fails anywhere in the reader
        raise RecipeError(
            f"model.path: {str(file)!r} cannot be read as a language model: {first_line(error)}"
        ) from error
    plain = _plain(read)
    _state_special_ids(plain, tokenizer)
    fit_generation_config(plain, file)
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _plain(read: PreTrainedModel) -> PreTrainedModel:
    """The same weights in a model that was never quantised: transformers saves no other."""
    config = read.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.random.fork_rng():
        plain = type(read)(config)
    plain.load_state_dict(read.state_dict())
    plain.generation_config = read.generation_config
    return plain


def _state_special_ids(model: PreTrainedModel, tokenizer: Any) -> None:
    """Model, generation settings and tokenizer name the same tokens; padding falls back to EOS."""
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    for settings in (model.config, model.generation_config):
        settings.eos_token_id = tokenizer.eos_token_id
        settings.pad_token_id = tokenizer.pad_token_id
        settings.bos_token_id = tokenizer.bos_token_id


@dataclass(frozen=True)
class GGUFFacts:
    """What a GGUF file says of itself; None = it does not say."""

    name: str | None
    licence: str | None


def gguf_facts(file: Path) -> GGUFFacts:
    """Name and licence from a file's own metadata (``general.*``)."""
    from gguf import GGUFReader

    fields = GGUFReader(file).fields

    def text(key: str) -> str | None:
        field = fields.get(f"general.{key}")
        return None if field is None else str(field.contents())

    return GGUFFacts(text("name"), text("license"))
