"""How a text opens and what ends a turn, asked of the tokenizer by trying."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from rlhf_compare.data.control import Tokenizer, control_tokens

_PROBE = "xyzzy"  # an answer that no template writes of itself
_TRIED = 16  # words of the vocabulary


def opening_of(tokenizer: Tokenizer) -> list[int]:
    """What every text of this tokenizer's model opens with: BOS, CLS, or nothing."""
    whole, bare = _with_and_without(tokenizer)
    for start in range(len(whole) - len(bare) + 1):
        if whole[start : start + len(bare)] == bare:
            return whole[:start]
    return []


def _with_and_without(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Ids of a short text as the tokenizer encodes texts, and without what it adds."""
    for text in _short_texts(tokenizer):
        try:
            whole, bare = (
                list(tokenizer(text, add_special_tokens=added)["input_ids"])
                for added in (True, False)
            )
        except Exception:  # a vocabulary of whole words that does not know this one
            continue
        if bare:
            return whole, bare
    return [], []


def _short_texts(tokenizer: Tokenizer) -> Iterator[str]:
    yield "x"
    controls = set(control_tokens(tokenizer))  # one of these would be taken for the opening
    words = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    yield from islice((word for word, _ in words if word not in controls), _TRIED)


def template_end(tokenizer: Tokenizer) -> int | None:
    """The control token with which the chat template ends an answer; None where it has no template,
    or where its answers end in text."""
    if not tokenizer.chat_template:
        return None
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": _PROBE}]
    try:
        rendered = str(tokenizer.apply_chat_template(turns, tokenize=False))
    except Exception:  # a template runs code of its own, which may refuse for any reason
        return None
    _, answer, rest = rendered.rpartition(_PROBE)
    rest = rest.lstrip()
    ends = [token for token in control_tokens(tokenizer) if answer and rest.startswith(token)]
    return int(tokenizer.convert_tokens_to_ids(max(ends, key=len))) if ends else None


def closing_id(tokenizer: Tokenizer, chat_template: bool) -> int:
    """The token that ends a response in training data: one convention for a whole run.

    Args:
        chat_template: whether prompts are written by the chat template; earlier answers in them
            end as the template ends them, and so must the last.
    """
    end = template_end(tokenizer) if chat_template else None
    return int(tokenizer.eos_token_id) if end is None else end


def turn_ends(tokenizer: Tokenizer, model: Any = None) -> tuple[int, ...]:
    """Every token that ends a response when it is sampled: EOS first, then the chat template's end
    of a turn and what the model's own generation settings stop at.

    A configuration made for another tokenizer may name a token that is a word in this one: only
    control tokens end a turn.

    Args:
        model: None = the tokenizer is asked alone.
    """
    settings = getattr(model, "generation_config", None)
    stated = getattr(settings, "eos_token_id", None)
    listed = list(stated) if isinstance(stated, (list, tuple)) else [stated]
    added = set(tokenizer.added_tokens_decoder) | set(tokenizer.all_special_ids)
    ends = [tokenizer.eos_token_id, template_end(tokenizer), *(i for i in listed if i in added)]
    return tuple(dict.fromkeys(int(i) for i in ends if i is not None))
