"""Prepared data on disk: what every stage reads, written once."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset, concatenate_datasets, load_from_disk

from rlhf_compare.data.chunks import WRITTEN


def open_parts(directory: Path) -> Dataset:
    """The rows of one side, memory-mapped; empty where there is no part."""
    parts = sorted(directory.glob("[0-9]*"))
    if not parts:
        return Dataset.from_dict({name: [] for name in WRITTEN}, features=WRITTEN)
    return concatenate_datasets([load_from_disk(str(part)) for part in parts])


@dataclass(frozen=True)
class DataDirectory:
    """``train/``, ``judge/`` and ``eval/`` (datasets, in parts), ``tokenizer/``, ``ledger.json``
    (counts) and ``data_report.json`` (counts, examples, lengths, near-duplicates)."""

    path: Path

    @property
    def tokenizer(self) -> Path:
        return self.path / "tokenizer"

    def train(self) -> Dataset:
        return open_parts(self.path / "train")

    def judge(self) -> Dataset:
        """The rows that teach the judge and nobody else; none with ``data.judge_share: 0``."""
        return open_parts(self.path / "judge")

    def eval(self) -> Dataset:
        return open_parts(self.path / "eval")

    def ledger(self) -> dict[str, Any]:
        return self._read("ledger.json")

    def report(self) -> dict[str, Any]:
        return self._read("data_report.json")

    def write(self, ledger: dict[str, Any], report: dict[str, Any], tokenizer: Any) -> None:
        """Write what stands beside the rows, which ``prepare`` has written here."""
        tokenizer.save_pretrained(str(self.tokenizer))
        for name, values in (("ledger.json", ledger), ("data_report.json", report)):
            text = json.dumps(values, indent=1, ensure_ascii=False)
            (self.path / name).write_text(text + "\n", encoding="utf-8")

    def _read(self, name: str) -> dict[str, Any]:
        return dict(json.loads((self.path / name).read_text(encoding="utf-8")))
