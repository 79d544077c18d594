"""From a source to encoded pairs on two sides, in order:

rows -> exchanges -> pairs -> (tokenizer) -> token ids -> length filter -> split -> ledger
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from datasets import Dataset, disable_progress_bars, enable_progress_bars

from rlhf_compare.data.config import DataConfig, TaskConfig
from rlhf_compare.data.encoding import Tokenizer, encode_prompt, encode_response
from rlhf_compare.data.formats import parse_row
from rlhf_compare.data.ledger import Ledger
from rlhf_compare.data.sources import describe, load_rows, unreadable
from rlhf_compare.data.splits import is_eval, normalise
from rlhf_compare.data.tasks import Ranked, rank
from rlhf_compare.errors import DataError

# Below this many rows a mapping ends before a progress bar could be read.
_BAR_FROM_ROWS = 20_000


@dataclass(frozen=True)
class PreparedData:
    """One prompt a row with its K >= 2 ranked responses; a labelled pair is K = 2.

    Columns of both sides: ``prompt`` (text), ``responses`` (K texts), ``scores`` (K numbers, higher
    is better, equal = tie), ``demonstration`` (text); ``prompt_ids``, ``response_ids`` (K lists)
    and ``demonstration_ids`` (token ids, EOS last in every response and demonstration).
    """

    train: Dataset
    eval: Dataset
    ledger: Ledger


def prepare(
    data: DataConfig,
    task: TaskConfig,
    get_tokenizer: Callable[[Sequence[str]], Tokenizer],
    held_out_questions: Sequence[str] = (),
) -> PreparedData:
    """Read, pair, encode, filter and split.

    Args:
        get_tokenizer: given the training texts, returns the tokenizer (it may be trained on them).
        held_out_questions: questions shown in the report; with their whole group they never train.

    Raises:
        DataError: the source is unreadable, or nothing is left on one of the sides.
    """
    rows = load_rows(data)
    (disable_progress_bars if len(rows) < _BAR_FROM_ROWS else enable_progress_bars)()
    try:
        pairs = rows.map(
            _RowToRanked(task, describe(data)),
            with_indices=True,
            remove_columns=rows.column_names,
            desc="pairing",
        )
    except (DataError, UnicodeError) as error:  # bytes that are no text are found here, not before
        raise unreadable(data, error) from error
    usable = pairs.filter(lambda drop: drop is None, input_columns="drop", desc="keeping pairs")
    if len(usable) == 0:
        ledger = Ledger()
        ledger.count(pairs["drop"])
        raise DataError(f"{describe(data)}: nothing left to train on: {ledger.summary()}")
    asked = {normalise(task.render(question)) for question in held_out_questions}
    held_out = _held_out_keys(usable["key"], usable["prompt"], asked, data.eval_share)
    sides = [key in held_out for key in usable["key"]]
    texts = [
        row["prompt"] + text
        for row, held in zip(usable, sides, strict=True)
        if not held
        for text in row["responses"]
    ]
    encode = _Encode(get_tokenizer(texts), data)
    encoded = usable.add_column("eval", sides).map(encode, desc="encoding")
    ledger = Ledger()
    ledger.count([*(d for d in pairs["drop"] if d is not None), *encoded["drop"]])
    fitting = encoded.filter(lambda drop: drop is None, input_columns="drop", desc="length filter")
    train, held = (
        fitting.filter(lambda e, want=want: e == want, input_columns="eval", desc="splitting")
        for want in (False, True)
    )
    ledger.train_pairs, ledger.eval_pairs = len(train), len(held)
    ledger.eval_prompts = len(set(held["prompt"]))
    for side, part in (("training", train), ("evaluation", held)):
        if len(part) == 0:
            raise DataError(f"{describe(data)}: no {side} pairs left: {ledger.summary()}")
    return PreparedData(
        train.remove_columns(["drop", "key", "eval"]),
        held.remove_columns(["drop", "key", "eval"]),
        ledger,
    )


class _RowToRanked:
    """Maps a raw row to its ranked texts (a class, so that ``datasets`` can pickle it)."""

    def __init__(self, task: TaskConfig, source: str) -> None:
        self.task, self.source = task, source

    def __call__(self, row: dict[str, object], index: int) -> dict[str, object]:
        exchange = parse_row(row, f"{self.source}, row {index + 1}")
        ranked = Ranked(drop=exchange.drop) if exchange.drop else rank(exchange, self.task)
        return {
            "key": normalise(exchange.group or exchange.question),
            "prompt": ranked.prompt,
            "responses": list(ranked.responses),
            "scores": list(ranked.scores),
            "demonstration": ranked.demonstration,
            "drop": ranked.drop,
        }


class _Encode:
    """Adds token ids and marks rows over the chapter's length limits."""

    def __init__(self, tokenizer: Tokenizer, data: DataConfig) -> None:
        self.tokenizer, self.data = tokenizer, data

    def __call__(self, row: dict[str, Any]) -> dict[str, object]:
        prompt = encode_prompt(self.tokenizer, row["prompt"])
        responses = [encode_response(self.tokenizer, text) for text in row["responses"]]
        demonstration = encode_response(self.tokenizer, row["demonstration"])
        # EOS counts: it is trained on and takes a position; and all responses must fit, not one
        longest = len(prompt) + max(map(len, [*responses, demonstration]))
        fits = len(prompt) <= self.data.max_prompt_length and longest <= self.data.max_length
        return {
            "prompt_ids": prompt,
            "response_ids": responses,
            "demonstration_ids": demonstration,
            "drop": None if fits else "too_long",
        }


def _held_out_keys(
    keys: Sequence[str], prompts: Sequence[str], asked: set[str], eval_share: float
) -> set[str]:
    """Groups that never train: drawn by hash, or holding a prompt that is asked for, or sharing a
    prompt with another such group (one question under two topics)."""
    rows = [(key, normalise(prompt)) for key, prompt in zip(keys, prompts, strict=True)]
    held = {key for key, prompt in rows if prompt in asked or is_eval(key, eval_share)}
    while True:
        held_prompts = {prompt for key, prompt in rows if key in held}
        wider = {key for key, prompt in rows if prompt in held_prompts}
        if wider == held:
            return held
        held = wider
