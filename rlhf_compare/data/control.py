"""Control tokens, and how text that only looks like one stays text.

A chat template writes ``<|eot_id|>`` and means a control token; a person who types the same
characters means characters. Once both stand in one string they cannot be told apart, so what was
typed is marked when the prompt is written, and the encoder reads the marks.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import Any

Tokenizer = Any  # a transformers PreTrainedTokenizerBase; not imported, it costs seconds

MARK = "\ufdd0"  # stands on both sides; Unicode keeps this code point out of texts
_BRACKETED = re.compile(r"<[^<>\s]+>|\[[^\[\]\s]+\]")  # how control tokens are spelled


def control_tokens(tokenizer: Tokenizer) -> tuple[str, ...]:
    """Spellings of the tokens that are no text: special ones, and added ones that the chat template
    writes. White space is text, also where a tokenizer has a token of its own for it."""
    template = str(getattr(tokenizer, "chat_template", None) or "")
    added = tokenizer.added_tokens_decoder.values()
    found = {str(token) for token in added if token.special or str(token) in template}
    return tuple(sorted({t for t in found | set(tokenizer.all_special_tokens) if t.strip()}))


def spelled_in(templates: Iterable[str]) -> set[str]:
    """What may be control tokens in the templates of a recipe, told by its brackets."""
    return {word for template in templates for word in _BRACKETED.findall(template)}


def mark_typed(text: str, controls: tuple[str, ...]) -> str:
    """``text``, all of it somebody's words, with marks around what is spelled like a token; what is
    marked already stays so."""
    if not any(start in text for start in _starts(controls)):
        return text  # nearly every text; the pattern of some hundred tokens takes a millisecond
    _, anything = _patterns(controls)
    return anything.sub(_marked, text)


def unmarked(text: str) -> str:
    """The text as people see it."""
    return text.replace(MARK, "")


def encode_marked(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of a text with marks: what stands between marks is text, other spellings of control
    tokens are control tokens, which cut the text as the tokenizer itself cuts at them."""
    controls = control_tokens(tokenizer)
    added = {str(token): token for token in tokenizer.added_tokens_decoder.values()}
    _, anything = _patterns(controls)
    ids: list[int] = []
    stretch, strip_left, end = "", False, 0
    for found in anything.finditer(text):
        stretch += text[end : found.start()] + (found["typed"] or "")
        end = found.end()
        if not found["written"]:
            continue
        token = added.get(found["written"])
        stretch = stretch.rstrip() if getattr(token, "lstrip", False) else stretch
        ids += _as_text(tokenizer, stretch.lstrip() if strip_left else stretch, controls)
        ids.append(tokenizer.convert_tokens_to_ids(found["written"]))
        stretch, strip_left = "", getattr(token, "rstrip", False)
    stretch += text[end:]
    return ids + _as_text(tokenizer, stretch.lstrip() if strip_left else stretch, controls)


def _as_text(tokenizer: Tokenizer, text: str, controls: tuple[str, ...]) -> list[int]:
    """Token ids of ``text`` with no control token among them."""
    if not text:
        return []
    ids = _encode(tokenizer, text)
    forbidden = set(tokenizer.convert_tokens_to_ids(list(controls))) - {tokenizer.unk_token_id}
    if forbidden.isdisjoint(ids):
        return ids
    # the vocabulary of a Unigram model holds the tokens themselves, and no switch hides an added
    # token that is not special: cut inside the word, where no token can be found
    spelling, _ = _patterns(controls)
    cuts = [0, *(found.start() + 1 for found in spelling.finditer(text)), len(text)]
    first, *others = (text[a:b] for a, b in pairwise(cuts))
    return _encode(tokenizer, first) + [i for part in others for i in _going_on(tokenizer, part)]


def _going_on(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of the rest of a word: without the space that some tokenizers put before a text."""
    head, whole = _encode(tokenizer, "a"), _encode(tokenizer, "a" + text)
    cut = len(head)
    return whole[cut:] if whole[:cut] == head else _encode(tokenizer, text)


def _encode(tokenizer: Tokenizer, text: str) -> list[int]:
    encoded = tokenizer(text, add_special_tokens=False, split_special_tokens=True)
    return list(encoded["input_ids"])


def _marked(found: re.Match[str]) -> str:
    return f"{MARK}{found['written']}{MARK}" if found["written"] else found[0]


@lru_cache(maxsize=64)
def _starts(controls: tuple[str, ...]) -> tuple[str, ...]:
    """How control tokens begin: a few strings also where there are hundreds of tokens."""
    return tuple(sorted({token[:4] for token in controls}))


@lru_cache(maxsize=64)
def _patterns(controls: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """A spelling of a control token; and that, marked or not, or a lone mark."""
    longest_first = sorted(controls, key=len, reverse=True)
    spelling = "|".join(map(re.escape, longest_first)) or "(?!)"
    anything = f"{MARK}(?P<typed>{spelling}){MARK}|(?P<written>{spelling})|{MARK}"
    return re.compile(spelling), re.compile(anything)
