"""Prepared data on disk: what every stage reads, written once."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset, load_from_disk

from rlhf_compare.data.prepare import PreparedData


@dataclass(frozen=True)
class DataDirectory:
    """``train/`` and ``eval/`` (datasets), ``tokenizer/``, ``ledger.json``."""

    path: Path

    @property
    def tokenizer(self) -> Path:
        return self.path / "tokenizer"

    def train(self) -> Dataset:
        return load_from_disk(str(self.path / "train"))

    def eval(self) -> Dataset:
        return load_from_disk(str(self.path / "eval"))

    def ledger(self) -> dict[str, Any]:
        return dict(json.loads((self.path / "ledger.json").read_text(encoding="utf-8")))

    def write(self, prepared: PreparedData, tokenizer: Any) -> None:
        prepared.train.save_to_disk(str(self.path / "train"))
        prepared.eval.save_to_disk(str(self.path / "eval"))
        tokenizer.save_pretrained(str(self.tokenizer))
        text = json.dumps(prepared.ledger.as_dict(), indent=1)
        (self.path / "ledger.json").write_text(text + "\n", encoding="utf-8")
