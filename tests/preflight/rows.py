"""Prepared rows of a few tokens."""

from pathlib import Path
from typing import Any

from datasets import Dataset

from rlhf_compare.data.store import DataDirectory


def data_with(folder: Path, tokenizer: Any, prompts: int, copies: int = 1) -> DataDirectory:
    """Some prompts, as the data stage leaves them."""
    texts = [f"q{i}" for i in range(prompts)] * copies
    rows: dict[str, list[Any]] = {
        "prompt": texts,
        "prompt_ids": [[1, 2]] * len(texts),
        "feeds": [["prompts"]] * len(texts),
    }
    Dataset.from_dict(rows).save_to_disk(str(folder / "train" / "0"))
    data = DataDirectory(folder)
    tokenizer.save_pretrained(data.tokenizer)
    return data
