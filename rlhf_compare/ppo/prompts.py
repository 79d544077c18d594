"""Prompts, however a dataset holds them, to token ids."""

from typing import Any

from datasets import Dataset

from rlhf_compare.data.encoding import encode_prompt


def encode_prompts(dataset: Dataset, tokenizer: Any) -> Dataset:
    """A dataset with the one column ``input_ids``.

    Takes what TRL's PPO examples hold: ``input_ids`` ready made; ``prompt`` as text; ``prompt`` as
    a conversation (a list of messages), rendered by the tokenizer's chat template.

    Raises:
        ValueError: neither column is there, or a prompt is empty.
    """
    if "input_ids" in dataset.column_names:
        encoded = dataset.select_columns(["input_ids"])
    elif "prompt" in dataset.column_names:

        def encode(row: dict[str, Any]) -> dict[str, list[int]]:
            prompt = row["prompt"]
            if isinstance(prompt, str):
                return {"input_ids": encode_prompt(tokenizer, prompt)}
            rendered = tokenizer.apply_chat_template(
                prompt, tokenize=False, add_generation_prompt=True
            )
            return {"input_ids": encode_prompt(tokenizer, rendered)}

        encoded = dataset.map(encode, remove_columns=dataset.column_names)
    else:
        raise ValueError(f"prompts need a column input_ids or prompt, got {dataset.column_names}")
    for index, ids in enumerate(encoded["input_ids"]):
        if not ids:
            raise ValueError(f"prompt {index} is empty: the policy needs a token to answer to")
    return encoded
