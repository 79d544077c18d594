"""Sources of a few rows."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict
from transformers import PreTrainedTokenizerFast

from rlhf_compare.data.config import DataConfig, TaskConfig
from rlhf_compare.data.prepare import PreparedData, prepare
from rlhf_compare.errors import DataError
from rlhf_compare.models.tokenizer import train_tokenizer

TOKENIZER: PreTrainedTokenizerFast = train_tokenizer([], 257)


ROWS: list[dict[str, Any]] = [
    {"question": f"Why {i}?", "answer": f"Because {i}."} for i in range(40)
]


LINES = b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)


HEAD = b"".join(LINES.splitlines(True)[:3])


PREFERENCE = TaskConfig(name="preference")


def save_folder(path: Path) -> None:
    DatasetDict({"train": Dataset.from_list(ROWS)}).save_to_disk(str(path))


def config(path: Path, **fields: object) -> DataConfig:
    return DataConfig(source="file", path=str(path), **fields)


def written(path: Path, data: bytes, **fields: object) -> DataConfig:
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return config(path, **fields)


def prepared(data: DataConfig, task: TaskConfig = PREFERENCE) -> PreparedData:
    return prepare(data, task, lambda _: TOKENIZER)


def demonstrations(data: PreparedData) -> list[str]:
    return sorted([*data.train["demonstration"], *data.eval["demonstration"]])


def fault_of(data: DataConfig) -> str:
    with pytest.raises(DataError) as error:
        prepared(data)
    message = str(error.value)
    assert "\n" not in message
    return message
