"""Broken texts as rejected responses, made from the rows' own.

A reward model that has seen whole answers alone is asked, in PPO, about texts that no pair shows,
and may pay for them (reward over-optimisation: Gao et al. 2023). Each such text stands level with
the prompt's worst response, so what is taught is that the better ones beat it, and nothing about
the order of bad ones.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import torch
from torch import Generator

Degenerate = Literal["spliced", "cut", "repeated", "shuffled", "echoed", "empty"]
KINDS: tuple[Degenerate, ...] = get_args(Degenerate)

Row = Mapping[str, Any]


def degenerate_response(kind: Degenerate, row: Row, draws: Generator) -> list[int] | None:
    """Token ids of a broken response to the prompt of ``row``; None where it has none of that kind.

    spliced   opens as the best response does and goes on with the worst one from its beginning
    cut       the best response, ended too early
    repeated  one token of the best response, as often as that has tokens
    shuffled  the tokens of the best response in random order
    echoed    the prompt said back
    empty     the end at once

    Where to cut is drawn log-uniformly: openings, which all that follows hangs on, break as often
    as long beginnings.

    Args:
        row: ``prompt_ids``, ``response_ids`` (K lists, each with its end as last token) and
            ``scores`` (K numbers, not all equal).
    """
    scores, responses = row["scores"], row["response_ids"]
    best = responses[max(range(len(scores)), key=lambda i: scores[i])]
    worst = responses[min(range(len(scores)), key=lambda i: scores[i])]
    made = _MAKERS[kind](best, worst, row["prompt_ids"], draws)
    return None if made is None or made in responses else made


def _spliced(best: list[int], worst: list[int], _: list[int], draws: Generator) -> list[int] | None:
    shared = 0  # tokens that both end with: cut there, the best response would stand whole
    while shared < min(len(best), len(worst)) and best[-1 - shared] == worst[-1 - shared]:
        shared += 1
    places = len(best) - shared - 1
    return [*best[: _place(places, draws)], *worst] if places > 0 else None


def _cut(best: list[int], _: list[int], __: list[int], draws: Generator) -> list[int] | None:
    *body, end = best
    return [*body[: _place(len(body) - 1, draws)], end] if len(body) > 1 else None


def _repeated(best: list[int], _: list[int], __: list[int], draws: Generator) -> list[int] | None:
    *body, end = best
    if len(body) < 2:
        return None
    token = body[int(torch.randint(len(body), (), generator=draws))]
    return [*[token] * len(body), end]


def _shuffled(best: list[int], _: list[int], __: list[int], draws: Generator) -> list[int]:
    *body, end = best
    return [*(body[i] for i in torch.randperm(len(body), generator=draws).tolist()), end]


def _echoed(best: list[int], _: list[int], prompt: list[int], __: Generator) -> list[int]:
    return [*prompt, best[-1]]


def _empty(best: list[int], _: list[int], __: list[int], ___: Generator) -> list[int]:
    return best[-1:]


def _place(last: int, draws: Generator) -> int:
    """Log-uniform in 1 .. last."""
    uniform = float(torch.rand((), generator=draws, dtype=torch.float64))
    return min(int((last + 1) ** uniform), last)


_MAKERS: dict[
    Degenerate, Callable[[list[int], list[int], list[int], Generator], list[int] | None]
] = {
    "spliced": _spliced,
    "cut": _cut,
    "repeated": _repeated,
    "shuffled": _shuffled,
    "echoed": _echoed,
    "empty": _empty,
}
