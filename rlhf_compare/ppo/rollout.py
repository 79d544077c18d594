"""One batch of experience: what the policy said, and what everybody thinks of it."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

# A micro-batch is halved by length where that saves this share of its cells.
_WORTH_CUTTING = 0.1
_SMALLEST_CUT = 8


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """B responses of at most R tokens to prompts of at most P; T = P + R. Nothing has a gradient.

    sequences      (B, T)  prompt left-padded, response right-padded
    mask           (B, T)  True on real tokens
    response_mask  (B, R)  True on real response tokens, EOS included
    ended          (B,)    the response ends in EOS
    scores         (B,)    r(x, y), centred, less the penalty for a missing EOS
    logprobs       (B, R)  log pi of the policy that sampled, at the sampling temperature
    ref_logprobs   (B, R)  log pi_ref of the same tokens
    values         (B, R)  value before each token is said
    token_kl       (B, R)  KL(pi || pi_ref) over the vocabulary at each position, nats
    entropy        (B, R)  of the policy at each position, nats

    The per-token columns are 0 where not ``response_mask``.
    """

    sequences: Tensor
    mask: Tensor
    response_mask: Tensor
    ended: Tensor
    scores: Tensor
    logprobs: Tensor
    ref_logprobs: Tensor
    values: Tensor
    token_kl: Tensor
    entropy: Tensor

    def __len__(self) -> int:
        return len(self.sequences)

    def rows(self, index: Tensor) -> "Rollout":
        """The episodes at ``index``."""
        return Rollout(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


@dataclass(frozen=True)
class Window:
    """Some rows of a rollout without the columns that are padding in all of them.

    rows       (b,)    indices into the rollout
    sequences  (b, t)
    mask       (b, t)
    predicted  (b, t)  True on real response tokens
    """

    rows: Tensor
    sequences: Tensor
    mask: Tensor
    predicted: Tensor

    @property
    def tokens(self) -> Tensor:
        """Ids of the real response tokens, row by row: (N,)."""
        return self.sequences[self.predicted]


def window(sequences: Tensor, mask: Tensor, response_mask: Tensor, rows: Tensor) -> Window:
    """Cut a micro-batch to its own width: finished and short sequences cost nothing."""
    start = sequences.shape[1] - response_mask.shape[1]
    predicted = torch.zeros_like(mask)
    predicted[:, start:] = response_mask
    real = mask[rows].any(0).nonzero()
    columns = slice(int(real.min()), int(real.max()) + 1)
    return Window(rows, sequences[rows, columns], mask[rows, columns], predicted[rows, columns])


def micro_batches(mask: Tensor, rows: Tensor, size: int) -> list[Tensor]:
    """Cut the rows of one optimizer step into micro-batches of like length, at most ``size`` each.

    Losses are divided by the tokens of the whole step, so how it is cut changes no result, only
    how much padding is computed.

    Args:
        mask: (B, T) of the whole rollout.
        rows: (n,) indices.
    """
    ordered = rows[mask[rows].sum(1).argsort(stable=True)]
    return [part for chunk in ordered.split(size) for part in _halve(mask, chunk)]


def _halve(mask: Tensor, rows: Tensor) -> list[Tensor]:
    if len(rows) < 2 * _SMALLEST_CUT:
        return [rows]
    halves = rows.split((len(rows) + 1) // 2)
    whole = _cells(mask, rows)
    if whole - sum(_cells(mask, half) for half in halves) < _WORTH_CUTTING * whole:
        return [rows]
    return [part for half in halves for part in _halve(mask, half)]


def _cells(mask: Tensor, rows: Tensor) -> int:
    real = mask[rows].any(0).nonzero()
    return len(rows) * (int(real.max()) + 1 - int(real.min()))
