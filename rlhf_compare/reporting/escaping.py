"""Model text is hostile: what it may not do is decided here, once.

A language model can print a script tag, a terminal escape, a character that turns the line's
direction round, or the fence that ends its own quotation. Everything that reaches a page or a
terminal goes through `visible`; Markdown adds `escape_markdown` or `fence`; HTML adds Jinja's
autoescape.
"""

import re
import unicodedata
from typing import Any

# Cc controls, Cf format (bidirectional marks, zero-width joiners, tags), Cs lone surrogates
# (which UTF-8 cannot encode), Co private use, Zl and Zp line separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
# an underscore inside a word is plain text to Markdown, so paths and names stay readable
_MARKDOWN = re.compile(r"[\\`*<>|&~$]|\](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])")


class Markdown(str):
    """Text that is Markdown already; every other string is escaped on its way into a page."""


# zero-width joiner and non-joiner: part of how Persian, Hindi and many emoji are written
_JOINERS = frozenset("\u200c\u200d")


def _joins(character: str) -> bool:
    """Letters and the marks on them, pictures and the modifiers of their colour."""
    category = unicodedata.category(character)
    return category[0] in "LM" or category in ("So", "Sk")


def _is_joined(text: str, index: int) -> bool:
    """Whether the joiner at `index` stands between two characters that it can join."""
    around = text[index - 1 : index] + text[index + 1 : index + 2]
    return len(around) == 2 and all(map(_joins, around))


def _shown(character: str) -> str:
    if unicodedata.category(character) in _HIDDEN:
        return f"\u27e8U+{ord(character):04X}\u27e9"
    return character


def visible(text: str, *, line: bool = False) -> str:
    """`text` with each hidden character named as ⟨U+202E⟩; `line` names line ends and tabs too.

    A zero-width joiner or non-joiner stays as it is between letters or emoji, where it is spelling.
    """
    kept = "" if line else "\n\t"
    return "".join(
        c if c in kept or (c in _JOINERS and _is_joined(text, i)) else _shown(c)
        for i, c in enumerate(text)
    )


def escape_markdown(text: object) -> Markdown:
    """One line of plain text for Markdown prose or a table's cell."""
    if isinstance(text, Markdown):
        return text
    shown = visible(str(text), line=True)
    return Markdown(_MARKDOWN.sub(lambda found: "\\" + found.group(), shown))


def fence(text: object) -> Markdown:
    """`text` as a fenced block, its fence longer than any run of backticks inside."""
    shown = visible(str(text))
    runs = [len(run) for run in re.findall(r"`+", shown)]
    ticks = "`" * max(3, 1 + max(runs, default=0))
    return Markdown(f"{ticks}text\n{shown}\n{ticks}")


def visible_value(value: Any) -> Any:
    """For Jinja's `finalize`: plain strings made visible, marked-up ones and the rest untouched."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return visible(value)
    return value
