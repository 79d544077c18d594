"""From sources to encoded rows on three sides, chunk by chunk, so that no text stays in memory:

raw rows -> parsed -> (duplicates, sides, weights) -> (tokenizer) -> token ids -> lengths -> ledger
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
from datasets import Dataset

from rlhf_compare.bars import Bar, bar
from rlhf_compare.data.chunks import ENCODED, FITTED, LENGTHS, map_rows
from rlhf_compare.data.config import DataConfig, TaskConfig
from rlhf_compare.data.control import Tokenizer, unmarked
from rlhf_compare.data.encoding import EncodeRows
from rlhf_compare.data.first_pass import Chunks, read_rows, where
from rlhf_compare.data.ledger import NAMED, DroppedRow, Ledger
from rlhf_compare.data.lengths import Lengths
from rlhf_compare.data.near_duplicates import by_letters, by_minhash, require_library
from rlhf_compare.data.outcome import require_all_sides, require_usable_sources
from rlhf_compare.data.parse import key_of
from rlhf_compare.data.parts import part_sizes
from rlhf_compare.data.quiet import no_bars
from rlhf_compare.data.selection import (
    RowIndex,
    choose_sides,
    drop_duplicates,
    keep_weights,
)
from rlhf_compare.data.sources import Source, describe, open_sources
from rlhf_compare.data.splits import HELD_OUT_PARTS
from rlhf_compare.data.store import open_parts
from rlhf_compare.data.tasks import render_question
from rlhf_compare.errors import DataError, RecipeError

_TOKENIZER_CHARACTERS = 50_000_000  # a trained tokenizer sees no more text than this


@dataclass(frozen=True)
class PreparedData:
    """One prompt a row with its K ranked responses; a labelled pair is K = 2.

    Columns of all sides: ``prompt`` (text), ``responses`` (K texts), ``scores`` (K numbers, higher
    is better, equal = tie), ``demonstration`` (text); ``prompt_ids``, ``response_ids`` (K lists)
    and ``demonstration_ids`` (token ids, EOS last in every response and demonstration); ``feeds``
    (kinds of rows that it counts as); ``group`` (number of the rows that stay together: a topic
    that the rows name, or the first question, and what shares a prompt with it). K = 0 where a row
    holds a prompt or a demonstration alone.
    """

    train: Dataset
    judge: Dataset
    eval: Dataset
    ledger: Ledger
    report: dict[str, Any]
    tokenizer: Tokenizer
    _folder: Any = field(default=None, repr=False)  # lives as long as the data do


def prepare(
    data: DataConfig,
    task: TaskConfig,
    get_tokenizer: Callable[[Iterable[str]], Tokenizer],
    held_out_questions: Sequence[str] = (),
    directory: Path | None = None,
) -> PreparedData:
    """Read, rank, encode, filter and split.

    Args:
        get_tokenizer: given the training texts, returns the tokenizer (it may be trained on them).
        held_out_questions: questions shown in the report; with their whole group they never train.
        directory: where ``train/``, ``judge/`` and ``eval/`` are written; None = a temporary one.

    Raises:
        DataError: a source is unreadable, too many rows are dropped, a prompt is on both sides, or
            nothing is left on one of the sides.
    """
    folder = tempfile.TemporaryDirectory() if directory is None else None
    target = Path(folder.name) if folder else Path(str(directory))
    with tempfile.TemporaryDirectory(dir=target if target.is_dir() else None) as work:
        return _Preparation(data, task, get_tokenizer, target, Path(work)).run(
            held_out_questions, folder
        )


class _Preparation:
    """The state of one call of :func:`prepare`."""

    def __init__(
        self,
        data: DataConfig,
        task: TaskConfig,
        get_tokenizer: Callable[[Iterable[str]], Tokenizer],
        target: Path,
        work: Path,
    ) -> None:
        self.data, self.task, self.get_tokenizer = data, task, get_tokenizer
        self.target, self.work = target, work
        self.ledger, self.lengths = Ledger(), Lengths(data)
        self.name = ", ".join(describe(source) for source in data.all_sources)
        self.chunks = Chunks(work)
        self.sources: list[Source] = []
        self.tokenizer: Tokenizer = None
        self.spelled = 0  # rows kept whose text is spelled like a control token somewhere

    def run(self, questions: Sequence[str], folder: Any) -> PreparedData:
        with no_bars():
            index = self._select(questions)
            self._encode(index)
        self._check_sides(index)
        return PreparedData(
            train=open_parts(self.target / "train"),
            judge=open_parts(self.target / "judge"),
            eval=open_parts(self.target / "eval"),
            ledger=self.ledger,
            report={
                "sources": [
                    {**entry, "feeds": list(s.config.feeds)}
                    for entry, s in zip(self.ledger.sources, self.sources, strict=True)
                ],
                "near_duplicates": self._near_duplicates(index),
                "lengths": self.lengths.as_dict(),
                "rows_with_control_tokens_as_text": self.spelled,
            },
            tokenizer=self.tokenizer,
            _folder=folder,
        )

    def _select(self, questions: Sequence[str]) -> RowIndex:
        """Read all rows, and leave out what other rows decide; the tokenizer is there after it."""
        if self.data.near_duplicates == "minhash":
            require_library()
        if self.task.chat_template:
            self.tokenizer = self._chat_tokenizer()
        index = self._read()
        require_usable_sources(index, self.sources, self.data)
        self.ledger.check_limits(self.data.limits, self.name)
        if self.data.duplicates == "drop":
            drop_duplicates(index)
        asked = [render_question(q, self.task, self.tokenizer) for q in questions]
        choose_sides(index, self.data, set(map(key_of, asked)))
        keep_weights(index, self.data)
        self._enter_drops(index, ("duplicate", "leaked", "outweighed"))
        if not index.kept.any():
            raise DataError(f"{self.name}: nothing left to train on: {self.ledger.summary()}")
        if self.tokenizer is None:
            self.tokenizer = self.get_tokenizer(self._training_texts(index))
        return index

    def _read(self) -> RowIndex:
        self.sources = open_sources(self.data)
        self.ledger.sources = [
            {"name": s.name, **s.layout.as_dict(), "words": str(s.layout)} for s in self.sources
        ]
        with _bar("reading") as bar:
            return read_rows(
                self.data,
                self.task,
                self.tokenizer,
                self.sources,
                self.chunks,
                self.ledger,
                bar.update,
            )

    def _chat_tokenizer(self) -> Tokenizer:
        tokenizer = self.get_tokenizer(iter(()))
        if not tokenizer.chat_template:
            raise RecipeError(
                "task.chat_template: the tokenizer has no chat template; use a chat model under "
                "model.path or model.hub_id, or task.template"
            )
        return tokenizer

    def _where(self, index: RowIndex, row: int) -> str:
        source = self.sources[index.source[row]]
        return where(source, int(index.number[row]), len(self.sources) > 1)

    def _enter_drops(self, index: RowIndex, reasons: Sequence[str]) -> None:
        """Enter rows that were dropped for what other rows say."""
        for reason in reasons:
            rows = index.rows_of(reason)
            dropped = [DroppedRow(self._where(index, row)) for row in rows[:NAMED]]
            self.ledger.drop(reason, len(rows), dropped)

    # --- encoding

    def _training_texts(self, index: RowIndex) -> Iterator[str]:
        """Prompts and responses of the training side, up to a bound, apart as they are encoded: a
        tokenizer trained on them joined would learn words that encoding never sees. Without the
        judge's rows: every policy reads by the tokenizer, and would know of them."""
        left = _TOKENIZER_CHARACTERS
        for chunk, indices in self.chunks.kept(index):
            train = chunk.select(np.flatnonzero(index.train[indices]))
            for row in train.select_columns(["prompt", "responses", "demonstration"]):
                for text in (row["prompt"], *(row["responses"] or [row["demonstration"]])):
                    yield unmarked(text)
                    left -= len(text)
                if left < 0:
                    return

    def _encode(self, index: RowIndex) -> None:
        """Write the encoded rows of both sides, one part a chunk."""
        encode = EncodeRows(self.tokenizer, self.data, self.task)
        with _bar("encoding", int(index.kept.sum())) as bar:
            for part, (chunk, indices) in enumerate(self.chunks.kept(index)):
                path = self.work / f"encoded-{part:05}.arrow"
                encoded = map_rows(chunk, encode, FITTED, self.data.num_proc, path)
                reasons = np.array(encoded["reason"][:])
                self.spelled += int(np.array(encoded["spelled"][:])[reasons == ""].sum())
                for reason in sorted(set(reasons) - {""}):
                    index.drop(indices[reasons == reason], reason)
                    self._enter_drop(index, indices, reasons, reason, encoded)
                self.lengths.add(*(encoded.data[name].to_numpy() for name in LENGTHS))
                self._write(encoded, index, indices, reasons == "", chunk, part)
                bar.update(len(chunk))
                path.unlink(missing_ok=True)

    def _enter_drop(
        self, index: RowIndex, indices: np.ndarray, reasons: np.ndarray, reason: str, rows: Dataset
    ) -> None:
        chosen = np.flatnonzero(reasons == reason)
        entered = []
        for position, row in zip(indices[chosen[:NAMED]], rows.select(chosen[:NAMED]), strict=True):
            where = self._where(index, position)
            detail = (
                f"prompt {row['prompt_tokens']}, longest response {row['longest_tokens']} tokens"
            )
            entered.append(DroppedRow(where, detail, unmarked(row["prompt"])[:160]))
        self.ledger.drop(reason, len(chosen), entered)

    def _write(
        self, encoded: Dataset, index: RowIndex, indices: np.ndarray, kept: np.ndarray,
        texts: Dataset, part: int,
    ) -> None:  # fmt: skip
        judge, held_out = index.judge[indices], index.held_out[indices]
        sides = {"train": ~judge & ~held_out, "judge": judge, "eval": held_out}
        for side, chosen in sides.items():
            rows = np.flatnonzero(kept & chosen)
            if len(rows) == 0:
                continue
            fitting = encoded.select(rows).select_columns(list(ENCODED))
            fitting = fitting.add_column(
                "group", index.group[indices[rows]], new_fingerprint=token_hex(8)
            )
            fitting.save_to_disk(str(self.target / side / f"{part:05}"))
            self.ledger.count(fitting, side, texts.select(rows))

    def _check_sides(self, index: RowIndex) -> None:
        parts = self.ledger.parts = part_sizes(index)
        held = [parts[name] for name in HELD_OUT_PARTS]
        self.ledger.eval_prompts = sum(size["prompts"] for size in held)
        self.ledger.check_limits(self.data.limits, self.name)
        require_all_sides(
            parts["train"]["rows"], sum(size["rows"] for size in held),
            self.ledger, self.lengths, self.data, self.name,
        )  # fmt: skip

    def _near_duplicates(self, index: RowIndex) -> dict[str, Any]:
        if self.data.near_duplicates == "normalised":
            return by_letters(index)
        return by_minhash(self._different_prompts(index), self.data.minhash_threshold)

    def _different_prompts(self, index: RowIndex) -> Iterator[tuple[str, bool]]:
        """Every different prompt, and whether it is held out."""
        kept = np.flatnonzero(index.kept)
        _, first = np.unique(index.prompt_key[kept], return_index=True)
        wanted = np.zeros(len(index), bool)
        wanted[kept[first]] = True
        for chunk, indices in self.chunks.kept(index):
            rows = np.flatnonzero(wanted[indices])
            prompts = chunk.select(rows).select_columns(["prompt"])
            yield from zip(prompts["prompt"], index.held_out[indices[rows]].tolist(), strict=True)


def _bar(what: str, total: int | None = None) -> Bar:
    """Progress bar, shown after 3 s."""
    return bar(what, total, "row", delay=3.0, leave=False)
