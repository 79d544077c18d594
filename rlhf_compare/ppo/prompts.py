"""Token ids of prompts, from every form in which a dataset may hold them."""

import logging
from collections.abc import Sequence
from itertools import compress, dropwhile
from typing import Any

from datasets import Dataset

from rlhf_compare.data.control import control_tokens, mark_typed, unmarked
from rlhf_compare.data.encoding import encode_prompt

_log = logging.getLogger(__name__)


def encode_prompts(dataset: Dataset, tokenizer: Any) -> Dataset:
    """A dataset with the one column ``input_ids``, each prompt without padding.

    Three forms are read, as in TRL's PPO examples:

    - ``input_ids``. With an ``attention_mask``, only the tokens that it counts. Without one, pad
      tokens at the beginning and the end are padding, if no other token shares the pad id.
    - ``prompt`` as text. It begins with the tokenizer's own opening tokens.
    - ``prompt`` as a conversation, a list of messages. The chat template renders it; text that
      people wrote never becomes a control token.

    Raises:
        TypeError: it is no dataset, or one without a length.
        ValueError: neither column is there, or a prompt is empty.
    """
    if not isinstance(dataset, Dataset):
        raise TypeError(
            f"prompts: {type(dataset).__name__} is not what they are read from; give a "
            "datasets.Dataset (Dataset.from_list of rows, one split of a DatasetDict)"
        )
    if "input_ids" in dataset.column_names:
        encoded = _ready_made(dataset, tokenizer)
    elif "prompt" in dataset.column_names:
        encoded = dataset.map(
            lambda row: {"input_ids": _encoded(row["prompt"], tokenizer)},
            remove_columns=dataset.column_names,
        )
    else:
        raise ValueError(f"prompts need a column input_ids or prompt, got {dataset.column_names}")
    for index, ids in enumerate(encoded["input_ids"]):
        if not len(ids):
            raise ValueError(f"prompt {index} is empty: the policy needs a token to answer to")
    return encoded


def _ready_made(dataset: Dataset, tokenizer: Any) -> Dataset:
    if "attention_mask" not in dataset.column_names:
        return _without_pad_token(dataset.select_columns(["input_ids"]), tokenizer)

    def real(row: dict[str, list[int]]) -> dict[str, list[int]]:
        ids, mask = row["input_ids"], row["attention_mask"]
        if len(ids) != len(mask):
            raise ValueError(
                f"prompts: a row has {len(ids)} input_ids and {len(mask)} in its attention_mask"
            )
        return {"input_ids": list(compress(ids, mask))}

    columns = dataset.with_format(None).select_columns(["input_ids", "attention_mask"])
    return columns.map(real, remove_columns=["attention_mask"])


def _without_pad_token(dataset: Dataset, tokenizer: Any) -> Dataset:
    """Prompts without the pad tokens at both ends, if no other token shares the pad id."""
    pad = getattr(tokenizer, "pad_token_id", None)
    if pad is None:
        return dataset
    rows = dataset.with_format(None)
    padded = sum(1 for ids in rows["input_ids"] if len(ids) and pad in (ids[0], ids[-1]))
    if not padded:
        return dataset
    if pad in (tokenizer.eos_token_id, tokenizer.bos_token_id):
        _log.warning(
            "%d of %d prompts begin or end in %r, which is the pad token and another one too: it "
            "counts as text; give an attention_mask if it is padding",
            padded, len(dataset), tokenizer.pad_token,
        )  # fmt: skip
        return dataset

    def bare(row: dict[str, list[int]]) -> dict[str, list[int]]:
        turned = list(dropwhile(lambda i: i == pad, reversed(row["input_ids"])))
        return {"input_ids": list(dropwhile(lambda i: i == pad, reversed(turned)))}

    return rows.map(bare)


def _encoded(prompt: str | Sequence[dict[str, Any]] | None, tokenizer: Any) -> list[int]:
    return encode_prompt(tokenizer, _text(prompt, tokenizer)) if prompt else []


def _text(prompt: str | Sequence[dict[str, Any]], tokenizer: Any) -> str:
    if isinstance(prompt, str):
        return prompt
    controls = control_tokens(tokenizer)
    messages = [
        {name: value if name == "role" else _typed(value, controls) for name, value in turn.items()}
        for turn in prompt
    ]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def _typed(value: Any, controls: tuple[str, ...]) -> Any:
    """A field of a message, with all typed text in it marked, at any depth."""
    if isinstance(value, str):
        return mark_typed(unmarked(value), controls)
    if isinstance(value, dict):
        return {name: _typed(part, controls) for name, part in value.items()}
    if isinstance(value, list):
        return [_typed(part, controls) for part in value]
    return value
