"""Statistics of next-token distributions, a tile of logits at a time.

The logits of all tokens, (N, V), are never held together: at a vocabulary of 150,000 words they
would be most of the memory. The head is applied to some of the hidden states, the statistics are
taken, and the logits are dropped; where a gradient is needed, the backward computes them again.
What fits into one tile is computed once, in one piece.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from rlhf_compare.models.policy import has_plain_head, hidden_states, response_logits
from rlhf_compare.models.wrapping import causal_lm
from rlhf_compare.tensors.padding import to_the_left

TILE = 1 << 25  # logits of one model in memory at once; 128 MiB in float32

Columns = tuple[Tensor, ...]
# tokens (...), then of every model logits (..., V) -> columns (...)
Statistics = Callable[..., Columns]


class TokenLogits:
    """The logits of chosen tokens and of no other.

    Where the logits are the head of the hidden states, the head is applied to the chosen positions
    alone: at a large vocabulary the head on padding and prompts is most of the work. Other models
    compute the logits of whole rows.

    Args:
        model: a causal language model, or a PEFT model of one; tested once, with a forward pass.
        inside: a context in which ``model`` is called, for instance with its adapters off.
    """

    def __init__(
        self, model: Any, inside: Callable[[], AbstractContextManager[Any]] = nullcontext
    ) -> None:
        self.model, self.inside = model, inside
        self.plain_head = has_plain_head(model)

    def __call__(self, sequences: Tensor, predicted: Tensor) -> Tensor:
        """All logits in one piece: (B, T) ids, padding last, and (B, T), True on N tokens ->
        (N, V)."""
        return self.of(sequences, predicted).logits()

    def of(
        self, sequences: Tensor, predicted: Tensor, temperature: float = 1.0
    ) -> "TokenDistributions":
        """The distributions of the N tokens on which ``predicted``, (B, T), is True. The hidden
        states are computed here, the logits when they are asked for.

        Args:
            sequences: (B, T) ids, padding last.
            temperature: divides the logits.
        """
        states = None
        if self.plain_head:
            with self.inside():
                states = hidden_states(self.model, sequences)[:, :-1][predicted[:, 1:]]
        return TokenDistributions(self, sequences, predicted, temperature, states)


@dataclass(frozen=True)
class TokenDistributions:
    """Next-token distributions of one model at N positions, as yet without logits.

    source       whose they are
    sequences    (B, T)  padding last
    predicted    (B, T)  True on the N tokens
    temperature          divides the logits
    states       (N, width)  what the head reads; None = the logits are more than the head of these
    """

    source: TokenLogits
    sequences: Tensor
    predicted: Tensor
    temperature: float
    states: Tensor | None

    @property
    def vocabulary(self) -> int:
        return vocabulary_of(self.source.model)

    def logits(self) -> Tensor:
        """Of all N tokens: (N, V)."""
        if self.states is None:
            return self.of_rows(self.sequences, self.predicted)
        return self.of_states(self.states)

    def of_states(self, states: Tensor) -> Tensor:
        """(n, width) -> (n, V)."""
        with self.source.inside():
            head = causal_lm(self.source.model).get_output_embeddings()
            return self._tempered(head(states))

    def of_rows(self, sequences: Tensor, predicted: Tensor) -> Tensor:
        """By the model's own forward, for a model without a plain head: (b, T), (b, T) ->
        (n, V)."""
        with self.source.inside():
            lm: Any = causal_lm(self.source.model)
            logits = lm(input_ids=sequences, use_cache=False).logits
            return self._tempered(logits[:, :-1][predicted[:, 1:]])

    def _tempered(self, logits: Tensor) -> Tensor:
        return logits if self.temperature == 1.0 else logits / self.temperature


def vocabulary_of(model: Any) -> int:
    """How many logits the model computes at a position."""
    return int(causal_lm(model).config.get_text_config().vocab_size)


def in_tiles(statistics: Statistics, tokens: Tensor, *of: TokenDistributions) -> Columns:
    """``statistics(tokens, *logits)`` of N tokens under one or several models.

    Equal to the statistics of all logits at once up to rounding, and to the bit where these fit
    into one tile. Models without a plain head are read some rows at a time, at least one.

    Args:
        statistics: takes n tokens, (n,), and logits (n, V) of every model; gives columns (n,).
            It is called again in the backward, so it must depend on its arguments alone.
        tokens: (N,) ids, row after row.
        of: distributions over the same sequences and tokens.
    """
    vocabulary = max(one.vocabulary for one in of)
    if all(one.states is not None for one in of):
        states = [one.states for one in of if one.states is not None]
        heads = [one.of_states for one in of]
        return heads_in_tiles(statistics, tokens, states, heads, vocabulary)
    sequences, predicted = of[0].sequences, of[0].predicted
    tiles = _tile_count(len(sequences), sequences.shape[1] * vocabulary)
    counts = [int(part.sum()) for part in predicted.chunk(tiles)]
    cut = [tokens.split(counts), sequences.chunk(tiles), predicted.chunk(tiles)]
    kept = [[None] * len(counts) if d.states is None else d.states.split(counts) for d in of]

    def of_part(some: Tensor, ids: Tensor, chosen: Tensor, *parts: Tensor | None) -> Columns:
        logits = (
            one.of_rows(ids, chosen) if part is None else one.of_states(part)
            for one, part in zip(of, parts, strict=True)
        )
        return statistics(some, *logits)

    return _joined([partial(of_part, *part) for part in zip(*cut, *kept, strict=True)])


def heads_in_tiles(
    statistics: Statistics,
    tokens: Tensor,
    states: Sequence[Tensor],
    heads: Sequence[Callable[[Tensor], Tensor]],
    vocabulary: int,
) -> Columns:
    """:func:`in_tiles` of hidden states that are known, (N, width) of every model.

    Args:
        heads: of every model (n, width) -> (n, V).
        vocabulary: V, of several models the largest.
    """
    tiles = _tile_count(len(tokens), vocabulary)

    def of_part(some: Tensor, *parts: Tensor) -> Columns:
        return statistics(some, *(head(part) for head, part in zip(heads, parts, strict=True)))

    cut = [tokens.chunk(tiles), *(one.chunk(tiles) for one in states)]
    return _joined([partial(of_part, *part) for part in zip(*cut, strict=True)])


@torch.no_grad()
def response_statistics(
    statistics: Statistics,
    models: Sequence[Any],
    input_ids: Tensor,
    mask: Tensor,
    response_length: int,
) -> Columns:
    """``statistics(tokens, *logits)`` of the last R tokens of every row, without gradient.

    Args:
        statistics: see :func:`in_tiles`; its tensors are (B, R) and (B, R, V), or (n,) and (n, V).
        models: causal language models, in eval mode.
        input_ids: (B, T), prompt left-padded, response right-padded.
        mask: (B, T), True on real tokens.
        response_length: R.

    Returns:
        columns (B, R); what stands at padding has no meaning.
    """
    tokens, real = input_ids[:, -response_length:], mask[:, -response_length:]
    vocabulary = max(vocabulary_of(model) for model in models)
    if _tile_count(len(input_ids), (response_length + 1) * vocabulary) == 1:
        logits = (response_logits(model, input_ids, mask, response_length) for model in models)
        return statistics(tokens, *logits)
    sequences, whole = to_the_left(input_ids, mask)
    place = torch.arange(sequences.shape[1], device=sequences.device)
    predicted = whole & (place >= mask[:, :-response_length].sum(1, keepdim=True))
    of = [TokenLogits(model).of(sequences, predicted) for model in models]
    columns = in_tiles(statistics, tokens[real], *of)
    return tuple(
        torch.zeros(real.shape, dtype=column.dtype, device=column.device).masked_scatter(
            real, column
        )
        for column in columns
    )


def _tile_count(count: int, logits_of_one: int) -> int:
    """Tiles that ``count`` positions, or rows, are cut into; each holds at least one."""
    in_one = max(1, TILE // logits_of_one)
    return max(1, -(-count // in_one))


def _joined(tiles: Sequence[Callable[[], Columns]]) -> Columns:
    """The columns of all tiles, one after the other."""
    if len(tiles) == 1:
        return tiles[0]()
    if torch.is_grad_enabled():
        parts = [_computed_again(tile) for tile in tiles]
    else:
        parts = [tile() for tile in tiles]
    return tuple(torch.cat(column) for column in zip(*parts, strict=True))


def _computed_again(tile: Any) -> Columns:
    """A tile whose logits the backward computes anew instead of finding them kept."""
    columns: Columns = checkpoint(tile.func, *tile.args, use_reentrant=False)
    return columns
