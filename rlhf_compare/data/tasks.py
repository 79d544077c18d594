"""A task turns an exchange into a preference pair and a demonstration for SFT."""

import hashlib
from dataclasses import dataclass

from rlhf_compare.data.config import TaskConfig
from rlhf_compare.data.formats import Exchange


@dataclass(frozen=True)
class Pair:
    """Texts without EOS; the encoder adds it."""

    prompt: str = ""
    chosen: str = ""
    rejected: str = ""
    demonstration: str = ""  # what SFT learns to answer
    drop: str | None = None


def make_pair(exchange: Exchange, task: TaskConfig) -> Pair:
    """The pair of one exchange under the configured task.

    prefix      chosen = prefix + answer, rejected = answer, both from the chosen side: the content
                stays, only the style changes. Answers that already start so are dropped.
    preference  as people labelled them.
    """
    prompt = task.render(exchange.question)
    if task.name == "preference":
        if not exchange.rejected:
            return Pair(drop="no_rejected")
        if exchange.rejected == exchange.chosen:
            return Pair(drop="equal_sides")
        return Pair(prompt, exchange.chosen, exchange.rejected, exchange.chosen)
    if has_marker(exchange.chosen, task.marker):
        return Pair(drop="already_prefixed")
    prefixed = task.prefix + exchange.chosen
    carries = _unit_hash(prompt + exchange.chosen) < task.sft_prefix_share
    return Pair(prompt, prefixed, exchange.chosen, prefixed if carries else exchange.chosen)


def has_marker(response: str, marker: str) -> bool:
    """Whether a response adopts the style: it starts with the marker, case ignored."""
    return response.lstrip().lower().startswith(marker.lower())


def _unit_hash(text: str) -> float:
    """A number in [0, 1) that depends on the text alone: the same rows carry the prefix whatever
    the order, the seed or the machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
