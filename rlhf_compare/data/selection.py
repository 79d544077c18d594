"""Decisions that need all rows: duplicates, sides, leaks, weights. Numbers only."""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from rlhf_compare.data.config import DataConfig
from rlhf_compare.data.reasons import REASONS
from rlhf_compare.data.splits import is_held_out, teaches_the_judge
from rlhf_compare.errors import DataError

_CODES = ("", *REASONS)
TRAIN, EVAL = False, True

Array = np.ndarray


@dataclass
class RowIndex:
    """One entry a row read, in order: what is known of it without its texts. About 55 bytes a row.

    source      which of the recipe's sources; number: its line or row there
    key, prompt_key, loose_key, content    hashes, see ``parse_row_or_reason``
    code        index of the reason in ``_CODES``; 0 = kept
    held_out    whether it is on the evaluation side
    judge       whether it teaches the judge and nobody else; never where ``held_out``
    group       rows that must not part: the smallest key among rows joined by keys and prompts
    """

    source: Array
    number: Array
    key: Array
    prompt_key: Array
    loose_key: Array
    content: Array
    code: Array
    held_out: Array = field(default_factory=lambda: np.zeros(0, bool))
    judge: Array = field(default_factory=lambda: np.zeros(0, bool))
    group: Array = field(default_factory=lambda: np.zeros(0, np.uint64))

    def __len__(self) -> int:
        return len(self.source)

    @property
    def kept(self) -> Array:
        kept: Array = self.code == 0
        return kept

    @property
    def train(self) -> Array:
        """Rows kept that methods, SFT and PPO's reward model learn from."""
        train: Array = self.kept & ~self.held_out & ~self.judge
        return train

    def rows_of(self, reason: str) -> Array:
        return np.flatnonzero(self.code == _CODES.index(reason))

    def drop(self, rows: Array, reason: str) -> None:
        """``rows``: a boolean mask or positions; what was dropped before keeps its reason."""
        chosen = np.zeros(len(self), bool)
        chosen[rows] = True
        self.code[chosen & self.kept] = _CODES.index(reason)


def reason_codes(reasons: list[str]) -> Array:
    return np.array([_CODES.index(reason) for reason in reasons], np.uint8)


def reason_of(index: RowIndex, row: int) -> str:
    """Why a row is dropped; empty = kept."""
    return _CODES[int(index.code[row])]


def drop_duplicates(index: RowIndex) -> None:
    """Of rows that say the same the first stays."""
    rows = np.flatnonzero(index.kept)
    _, first = np.unique(index.content[rows], return_index=True)
    index.drop(np.delete(rows, first), "duplicate")


def choose_sides(index: RowIndex, data: DataConfig, asked: Collection[int]) -> None:
    """Set ``held_out``, ``judge`` and ``group``.

    Groups that share a prompt (one question under two topics) are one group. Held out are groups
    drawn by hash, those with a prompt that is asked for, and those with a prompt or a topic of a
    source that is held out whole. A share of the other groups, those of ``side: train`` among them,
    teaches the judge.

    Args:
        asked: prompt keys that must not be trained on.

    Raises:
        DataError: sources that name their side share prompts across the sides.
    """
    side = np.array([source.side for source in data.all_sources])[index.source]
    split = index.kept & (side == "split")
    keys, prompts = index.key[split], index.prompt_key[split]
    wanted = np.fromiter(asked, np.uint64, len(asked))
    whole = index.kept & (side == "eval")
    groups = _joined(keys, prompts)
    given = np.isin(prompts, np.concatenate([wanted, index.prompt_key[whole]]))
    given |= np.isin(keys, index.key[whole])
    index.held_out = side == "eval"
    index.held_out[split] = is_held_out(groups, data.eval_share) | np.isin(groups, groups[given])
    # a prompt that is asked for is held out whatever its source says; the same for a whole leak
    evaluated = np.unique(np.concatenate([wanted, index.prompt_key[index.kept & index.held_out]]))
    leaked = index.kept & ~index.held_out & np.isin(index.prompt_key, evaluated)
    if leaked.any() and data.leaks == "error":
        raise DataError(_leak_message(index, leaked, data))
    index.drop(leaked, "leaked")
    index.group = index.key.copy()
    for rows in (index.kept & index.held_out, index.kept & ~index.held_out):
        index.group[rows] = _joined(index.key[rows], index.prompt_key[rows])
    index.judge = ~index.held_out & teaches_the_judge(index.group, data.judge_share)


def _joined(keys: Array, prompts: Array) -> Array:
    """The smallest key that rows reach over common keys and prompts: (N,), (N,) -> (N,).

    The smallest, so that a group is drawn as soon as one of its topics is.
    """
    joined = keys.copy()
    ways = [np.unique(column, return_inverse=True)[1] for column in (keys, prompts)]
    while True:
        before = joined
        for way in ways:
            least = np.full(len(keys), np.iinfo(np.uint64).max, np.uint64)
            np.minimum.at(least, way, joined)
            joined = least[way]
        if (joined == before).all():
            return joined


def _leak_message(index: RowIndex, leaked: Array, data: DataConfig) -> str:
    row = int(np.flatnonzero(leaked)[0])
    prompts = len(np.unique(index.prompt_key[leaked]))
    source = data.all_sources[index.source[row]]
    name = source.path or source.hub_id or "embedded corpus"
    same = index.kept & index.held_out & (index.prompt_key == index.prompt_key[row])
    other = ", a question of the report"
    if same.any():
        twin = int(np.flatnonzero(same)[0])
        held = data.all_sources[index.source[twin]]
        other = f", held out in {held.path or held.hub_id}, number {index.number[twin]}"
    return (
        f"data: {prompts} prompts ({int(leaked.sum())} rows) to train on are on the evaluation "
        f"side too, first {name}, number {index.number[row]}{other}; remove them, set "
        "data.leaks=drop, or leave the sides to side: split"
    )


def keep_weights(index: RowIndex, data: DataConfig) -> None:
    """Leave out rows until the sources' kept rows are in proportion to their weights, by hash."""
    weights = [source.weight for source in data.all_sources]
    if len(weights) < 2 or any(weight is None for weight in weights):
        return
    rows = [np.flatnonzero(index.kept & (index.source == s)) for s in range(len(weights))]
    scale = min(len(r) / float(w or 1) for r, w in zip(rows, weights, strict=True))
    for positions, weight in zip(rows, weights, strict=True):
        count = round(scale * float(weight or 1))
        order = np.argsort(index.content[positions], kind="stable")
        index.drop(positions[order[count:]], "outweighed")
