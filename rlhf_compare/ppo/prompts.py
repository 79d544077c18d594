"""Prompts, however a dataset holds them, to token ids."""

from collections.abc import Sequence
from itertools import compress
from typing import Any

from datasets import Dataset

from rlhf_compare.data.control import control_tokens, mark_typed, unmarked
from rlhf_compare.data.encoding import encode_prompt


def encode_prompts(dataset: Dataset, tokenizer: Any) -> Dataset:
    """A dataset with the one column ``input_ids``, each prompt without padding.

    Takes what TRL's PPO examples hold: ``input_ids`` ready made, and only what their
    ``attention_mask`` counts where they have one; ``prompt`` as text, opened as the tokenizer opens
    a text; ``prompt`` as a conversation (a list of messages), rendered by the tokenizer's chat
    template, in which what people wrote never becomes a control token.

    Raises:
        ValueError: neither column is there, or a prompt is empty.
    """
    if "input_ids" in dataset.column_names:
        encoded = _ready_made(dataset)
    elif "prompt" in dataset.column_names:
        encoded = dataset.map(
            lambda row: {"input_ids": encode_prompt(tokenizer, _text(row["prompt"], tokenizer))},
            remove_columns=dataset.column_names,
        )
    else:
        raise ValueError(f"prompts need a column input_ids or prompt, got {dataset.column_names}")
    for index, ids in enumerate(encoded["input_ids"]):
        if not len(ids):
            raise ValueError(f"prompt {index} is empty: the policy needs a token to answer to")
    return encoded


def _ready_made(dataset: Dataset) -> Dataset:
    if "attention_mask" not in dataset.column_names:
        return dataset.select_columns(["input_ids"])

    def real(row: dict[str, list[int]]) -> dict[str, list[int]]:
        ids, mask = row["input_ids"], row["attention_mask"]
        if len(ids) != len(mask):
            raise ValueError(
                f"prompts: a row has {len(ids)} input_ids and {len(mask)} in its attention_mask"
            )
        return {"input_ids": list(compress(ids, mask))}

    columns = dataset.with_format(None).select_columns(["input_ids", "attention_mask"])
    return columns.map(real, remove_columns=["attention_mask"])


def _text(prompt: str | Sequence[dict[str, Any]], tokenizer: Any) -> str:
    if isinstance(prompt, str):
        return prompt
    controls = control_tokens(tokenizer)
    messages = [
        {**turn, "content": mark_typed(unmarked(turn["content"]), controls)}
        if isinstance(turn.get("content"), str)
        else turn
        for turn in prompt
    ]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
