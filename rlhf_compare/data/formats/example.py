"""What every format is read into."""

from collections.abc import Mapping
from dataclasses import dataclass

from rlhf_compare.data.conversation import Turn
from rlhf_compare.data.reasons import RowDropError

Row = Mapping[str, object]


@dataclass(frozen=True)
class Example:
    """A conversation up to the last user turn, and K >= 0 responses to it.

    K = 0 is a prompt alone, K = 1 a demonstration; from K = 2 the scores rank.
    """

    turns: tuple[Turn, ...]
    responses: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()  # higher is better, equal = tie
    group: str | None = None  # rows of one group never part (a topic); None = the prompt decides
    unpaired: RowDropError | None = None  # why there is no second response, where one was given
    marked: str = ""  # what says that the best of several is bad: then nobody learns it

    @property
    def user_turns(self) -> int:
        return sum(role == "user" for role, _ in self.turns)
