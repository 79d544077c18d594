"""A task turns an exchange into ranked responses and a demonstration for SFT."""

import hashlib
from dataclasses import dataclass

from rlhf_compare.data.config import TaskConfig
from rlhf_compare.data.formats import Exchange


@dataclass(frozen=True)
class Ranked:
    """A prompt and its K >= 2 ranked responses. Texts without EOS; the encoder adds it."""

    prompt: str = ""
    responses: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()  # higher is better, equal = tie
    demonstration: str = ""  # what SFT learns to answer
    drop: str | None = None


def rank(exchange: Exchange, task: TaskConfig) -> Ranked:
    """The ranked responses of one exchange under the configured task.

    prefix      chosen = prefix + answer, rejected = answer, both from the best answer: the content
                stays, only the style changes. Answers that already start so are dropped.
    preference  as people labelled or scored them; SFT learns the best one.
    """
    prompt = task.render(exchange.question)
    best = exchange.responses[exchange.scores.index(max(exchange.scores))]
    if task.name == "preference":
        if len(exchange.responses) < 2:
            return Ranked(drop="no_rejected")
        if len(set(exchange.responses)) == 1:
            return Ranked(drop="equal_sides")
        return Ranked(prompt, exchange.responses, exchange.scores, best)
    if has_marker(best, task.marker):
        return Ranked(drop="already_prefixed")
    prefixed = task.prefix + best
    carries = _unit_hash(prompt + best) < task.sft_prefix_share
    return Ranked(prompt, (prefixed, best), (1.0, 0.0), prefixed if carries else best)


def has_marker(response: str, marker: str) -> bool:
    """Whether a response adopts the style: it starts with the marker, case ignored."""
    return response.lstrip().lower().startswith(marker.lower())


def _unit_hash(text: str) -> float:
    """A number in [0, 1) that depends on the text alone: the same rows carry the prefix whatever
    the order, the seed or the machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
