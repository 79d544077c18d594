"""Greedy answers to prompts as a table and a file: what TRL's ``generate_completions`` shows."""

import copy
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor

from rlhf_compare.ppo.experience import Collector

_COLUMNS = ("prompt", "response", "score")


def answer(
    collector: Collector, policy: Any, batch: dict[str, Tensor], tokenizer: Any, step: int
) -> list[dict[str, Any]]:
    """One greedy answer a prompt, as rows of ``samples.jsonl``.

    Args:
        batch: ``prompt_ids`` and ``prompt_mask`` (B, P), left-padded.
        step: of the training.
    """
    greedy = copy.copy(collector)
    greedy.config = copy.copy(collector.config)
    greedy.config.temperature = None  # type: ignore[assignment]
    responses = greedy.sample(policy, batch["prompt_ids"], batch["prompt_mask"])
    scores = greedy.score(batch["prompt_ids"], batch["prompt_mask"], responses)
    return [
        {
            "step": step,
            "prompt": tokenizer.decode(ids[real]),
            "response": tokenizer.decode(response),
            "score": float(score),
        }
        for ids, real, response, score in zip(
            batch["prompt_ids"], batch["prompt_mask"], responses.to_lists(), scores, strict=True
        )
    ]


def print_answers(rows: list[dict[str, Any]]) -> None:
    """Print a table. A model's text may hold characters that move a terminal's cursor; those are
    printed as escapes."""
    table = Table(*_COLUMNS, show_lines=True)
    for row in rows:
        table.add_row(*(Text(_printable(str(row[name]))) for name in _COLUMNS))
    Console().print(table)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def write_answers(path: Path, rows: list[dict[str, Any]]) -> None:
    """Append the rows, one JSON object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)
