"""The columns that each stage's trainer takes, all cut from the same token ids."""

from datasets import Dataset


def sft_view(pairs: Dataset) -> Dataset:
    """``input_ids`` and ``completion_mask`` (1 on the response, EOS included) for SFTTrainer."""

    def columns(row: dict[str, list[int]]) -> dict[str, list[int]]:
        prompt, response = row["prompt_ids"], row["demonstration_ids"]
        return {
            "input_ids": prompt + response,
            "completion_mask": [0] * len(prompt) + [1] * len(response),
        }

    return pairs.map(columns, remove_columns=pairs.column_names)


def reward_view(pairs: Dataset) -> Dataset:
    """``chosen_ids`` and ``rejected_ids``, each prompt + response, for RewardTrainer."""

    def columns(row: dict[str, list[int]]) -> dict[str, list[int]]:
        return {side: row["prompt_ids"] + row[side] for side in ("chosen_ids", "rejected_ids")}

    return pairs.map(columns, remove_columns=pairs.column_names)


def dpo_view(pairs: Dataset) -> Dataset:
    """``prompt_ids``, ``chosen_ids``, ``rejected_ids`` for DPOTrainer."""
    return pairs.select_columns(["prompt_ids", "chosen_ids", "rejected_ids"])


def prompt_view(pairs: Dataset) -> Dataset:
    """Every different prompt once, in order of appearance: ``prompt``, ``prompt_ids``."""
    first: dict[str, int] = {}
    for index, prompt in enumerate(pairs["prompt"]):
        first.setdefault(prompt, index)
    return pairs.select(list(first.values())).select_columns(["prompt", "prompt_ids"])
