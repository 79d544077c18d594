"""A prompt or an answer as a page shows it: never endless, and never an empty box."""

from dataclasses import dataclass
from itertools import groupby

_LONGEST = 4096  # characters
_BLANK_LINES = 2  # that stay as they are; a longer run is one line that says how many


@dataclass(frozen=True)
class Shown:
    """`text`: what stands in the box, empty where there is nothing to see; `note`: what the page
    says about the text in its own words, empty where the text is whole."""

    text: str
    note: str = ""


def shown(text: str) -> Shown:
    """Fold long runs of blank lines, cut after 4,096 characters, and name what is empty."""
    if not text.strip():
        count = len(text)
        return Shown("", f"(empty) but for {count:,} blank characters" if count else "(empty)")
    folded = _fold(text)
    more = len(folded) - _LONGEST
    return Shown(folded[:_LONGEST], f"{more:,} more characters" if more > 0 else "")


def _fold(text: str) -> str:
    lines: list[str] = []
    for blank, run in groupby(text.split("\n"), key=lambda line: not line.strip()):
        found = list(run)
        if blank and len(found) > _BLANK_LINES:
            lines.append(f"\u27e8{len(found):,} blank lines\u27e9")
        else:
            lines += found
    return "\n".join(lines)
