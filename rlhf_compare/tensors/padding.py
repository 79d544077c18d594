"""From lists of token ids to one rectangular tensor and the mask that says what is real."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

# A micro-batch is halved by length where that saves this share of its cells.
_WORTH_CUTTING = 0.1
_SMALLEST_CUT = 8


def pad_sequences(
    sequences: Sequence[Sequence[int]], pad_id: int, side: Literal["left", "right"]
) -> tuple[Tensor, Tensor]:
    """Stack sequences of unequal length.

    Real tokens are told from padding by length, never by id: GPT-2's pad is its EOS.

    Args:
        sequences: B lists of token ids.
        pad_id: fills the rest.
        side: where the padding goes.

    Returns:
        ids (B, T) and mask (B, T), T the longest length (at least 1).
    """
    width = max((len(s) for s in sequences), default=0) or 1
    ids = torch.full((len(sequences), width), pad_id, dtype=torch.long)
    mask = torch.zeros((len(sequences), width), dtype=torch.bool)
    for row, sequence in enumerate(sequences):
        n = len(sequence)
        if n == 0:
            continue
        where = slice(width - n, width) if side == "left" else slice(0, n)
        ids[row, where] = torch.tensor(list(sequence), dtype=torch.long)
        mask[row, where] = True
    return ids, mask


def to_the_left(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Move the real tokens of every row to its start, in their order, and cut what is padding in
    all rows: (B, T) -> (B, t). A prompt padded on its left and a response padded on its right have
    padding twice; this leaves one, and under a causal model nothing real ever looks at it.
    """
    width = int(mask.sum(1).max()) if mask.numel() else 0
    order = to_left(mask)
    if order is not None:
        ids, mask = ids.gather(1, order), mask.gather(1, order)
    return ids[:, :width], mask[:, :width]


def positions(mask: Tensor) -> Tensor:
    """Position ids that count real tokens alone: (B, T) -> (B, T), 0 under leading padding."""
    return (mask.long().cumsum(-1) - 1).clamp(min=0)


def attention_inputs(mask: Tensor) -> dict[str, Tensor]:
    """What a transformers model is told of padding on any side: (B, T) mask.

    Positions count real tokens, so left padding changes nothing. Ids under padding are looked up in
    the embedding, so they must be valid, but attention never reads them.
    """
    return {"attention_mask": mask.long(), "position_ids": positions(mask)}


def last_true(mask: Tensor) -> Tensor:
    """Index of the last True of every row: (B, T) -> (B,).

    Raises:
        ValueError: a row has no True.
    """
    if not bool(mask.any(-1).all()):
        raise ValueError("a sequence without a single real token has no last token")
    index = torch.arange(mask.shape[-1], device=mask.device)
    return torch.where(mask, index, -1).max(-1).values


def to_left(mask: Tensor) -> Tensor | None:
    """For ``gather``: the order that moves the real tokens of every row to its start, each kept in
    its place among them: (B, T) -> (B, T), or None where they are there already."""
    moved = mask[:, 1:] & ~mask[:, :-1]  # a real token right of padding
    return (~mask).long().argsort(dim=1, stable=True) if bool(moved.any()) else None


def micro_batches(lengths: Tensor, rows: Tensor, size: int) -> list[Tensor]:
    """Cut the rows of one optimizer step into micro-batches of like length, at most ``size`` each.

    Losses are divided by the tokens of the whole step, so how it is cut changes no result, only
    how much padding is computed.

    Args:
        lengths: (B,) real tokens of every row of the rollout.
        rows: (n,) indices.
    """
    ordered = rows[lengths[rows].argsort(stable=True)]
    return [part for chunk in ordered.split(size) for part in _halve(lengths, chunk)]


def _halve(lengths: Tensor, rows: Tensor) -> list[Tensor]:
    if len(rows) < 2 * _SMALLEST_CUT:
        return [rows]
    halves = rows.split((len(rows) + 1) // 2)
    whole = _cells(lengths, rows)
    if whole - sum(_cells(lengths, half) for half in halves) < _WORTH_CUTTING * whole:
        return [rows]
    return [part for half in halves for part in _halve(lengths, half)]


def _cells(lengths: Tensor, rows: Tensor) -> int:
    return len(rows) * int(lengths[rows].max())
