"""What a task wants to see in an answer, so that it can be looked for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Behaviour:
    """An answer that opens with given words.

    prefix      the words that chosen responses open with; a trailing space belongs to it
    marker      the beginning of ``prefix`` by which an answer is told to have it
    match_case  whether the marker's case counts
    """

    prefix: str
    marker: str
    match_case: bool

    def adopts(self, response: str) -> bool:
        """Whether a response shows the behaviour: it starts with the marker."""
        fold = str if self.match_case else str.lower
        return fold(response.lstrip()).startswith(fold(self.marker))
