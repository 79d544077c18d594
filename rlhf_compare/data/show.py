"""Prepared rows on the terminal: what was dropped, and examples as text and as tokens."""

from typing import Any

import numpy as np
from datasets import Dataset
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rlhf_compare.data.control import Tokenizer, unmarked
from rlhf_compare.data.ledger import kept_lines

_CHARACTERS, _TOKENS = 600, 120  # of an example; what is left out is said
_PROMPT, _RESPONSE, _EOS = "dim", "green", "bold red"


def show_report(report: dict[str, Any], console: Console) -> None:
    """How each source was read, the ledger with the first rows of each reason, what the rows kept
    are, lengths and near-duplicates."""
    for source in report["sources"]:
        console.print(Text(f"{source['name']}: {source['words']}"))
    table = Table(title=f"{report['read']:,} rows read, {report['kept']:,} kept")
    for column, justify in (("dropped for", "left"), ("rows", "right"), ("first of them", "left")):
        table.add_column(column, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for entry in report["dropped"]:
        example = entry["examples"][0]
        first = ", ".join(entry["named"][:3]) + (", ..." if entry["count"] > 3 else "")
        detail = f"\n{example['detail']}" if example["detail"] else ""
        reason = f"{entry['reason']}\n{entry['words']}"
        table.add_row(Text(reason), f"{entry['count']:,}", Text(first + detail))
    if report["dropped"]:
        console.print(table)
    else:
        console.print(Text(str(table.title)))
    for line in kept_lines(report):
        console.print(Text(line))
    for name, lengths in report["lengths"].items():
        quantiles = ", ".join(f"{q} {n:,}" for q, n in lengths["quantiles"].items())
        console.print(
            Text(
                f"{name} tokens: {quantiles}; limit {lengths['limit']:,}, "
                f"{lengths['over_limit']:,} rows over it"
            )
        )
    near = report["near_duplicates"]
    console.print(
        Text(
            f"near-duplicate prompts ({near['method']}): "
            f"{near['prompts_with_a_near_duplicate']:,} of {near['prompts']:,}; "
            f"{near['across_sides']:,} held-out ones resemble one to train on"
        )
    )


def show_examples(
    rows: Dataset, tokenizer: Tokenizer, console: Console, count: int = 5, seed: int = 0
) -> None:
    """``count`` random rows as text, then every sequence as tokens: the prompt dim, a bar, the
    response green (what losses count), the end of the sequence red."""
    chosen = np.random.default_rng(seed).permutation(len(rows))[:count]
    for number, place in enumerate(sorted(map(int, chosen)), start=1):
        row = rows[place]
        console.rule(f"example {number}: row {place} to train on, feeds {', '.join(row['feeds'])}")
        console.print(Text(_cut(unmarked(row["prompt"])), style=_PROMPT))
        for label, text, ids in _sequences(row):
            console.print(Text(f"{label}: ", style="bold") + Text(_cut(text), style=_RESPONSE))
            console.print(_tokens(row["prompt_ids"], ids, tokenizer))
        if not row["response_ids"] and not row["demonstration_ids"]:
            console.print(_tokens(row["prompt_ids"], [], tokenizer))


def _sequences(row: dict[str, Any]) -> list[tuple[str, str, list[int]]]:
    """Demonstration, best and worst response."""
    sequences = []
    if row["demonstration_ids"]:
        sequences.append(("demonstration", row["demonstration"], row["demonstration_ids"]))
    order = sorted(range(len(row["scores"])), key=lambda i: -row["scores"][i])
    for name, place in zip(("best", "worst"), (order[0], order[-1]) if order else (), strict=False):
        label = f"{name} of {len(order)}, score {row['scores'][place]:g}"
        sequences.append((label, row["responses"][place], row["response_ids"][place]))
    return sequences


def _tokens(prompt: list[int], response: list[int], tokenizer: Tokenizer) -> Text:
    """Token by token, with the mask as colour; the middle of a long prompt is left out."""
    line = Text("  ")
    hidden = max(0, len(prompt) - _TOKENS // 2)
    if hidden:
        line.append(f"[{hidden} more] ", style="italic")
    for token in tokenizer.convert_ids_to_tokens(prompt[hidden:]):
        line.append(token, style=_PROMPT).append(" ")
    line.append("| ", style="bold")  # where the response begins, on a screen without colours too
    shown = response if len(response) <= _TOKENS else [*response[: _TOKENS - 1], response[-1]]
    for place, token in enumerate(tokenizer.convert_ids_to_tokens(shown)):
        last = place == len(shown) - 1
        if last and len(shown) < len(response):
            line.append(f"[{len(response) - len(shown)} more] ", style="italic")
        line.append(token, style=_EOS if last else _RESPONSE).append(" ")
    return line


def _cut(text: str) -> str:
    if len(text) <= _CHARACTERS:
        return text
    return f"{text[:_CHARACTERS]} [{len(text) - _CHARACTERS} more characters]"
