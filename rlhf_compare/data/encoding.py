"""Text to token ids: the one function that every stage's tokens come from.

``prompt_ids = [bos] + tok(prompt)`` where the tokenizer opens texts with BOS, and ``response_ids =
tok(response) + [end]``, concatenated and never tokenised together. GPT-2 ends the prompt in token
220 (a space) and starts the response with 5756 (``Let``); as one string both merge into 3914
(`` Let``), a context that inference never sees. The end is EOS or, with ``task.chat_template``, the
token with which the template ends an answer.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from rlhf_compare.data.behaviour import Behaviour
from rlhf_compare.data.config import DataConfig, TaskConfig
from rlhf_compare.data.control import (
    MARK,
    Tokenizer,
    control_tokens,
    encode_marked,
    mark_typed,
    spelled_in,
    unmarked,
)
from rlhf_compare.data.tasks import feeds_of
from rlhf_compare.data.turns import closing_id, opening_of, template_end
from rlhf_compare.errors import RecipeError


def encode_prompts(tokenizer: Tokenizer, prompts: Sequence[str]) -> list[list[int]]:
    """Token ids of prompts, opened as the tokenizer opens a text (BOS, CLS) unless the prompt's
    template wrote that already: once, never twice. See :mod:`rlhf_compare.data.control` for what
    is a control token in a prompt and what is text."""
    opening = opening_of(tokenizer) if prompts else []
    encoded = _encode(tokenizer, prompts)
    return [ids if ids[: len(opening)] == opening else opening + ids for ids in encoded]


def encode_responses(
    tokenizer: Tokenizer, responses: Sequence[str], end: int | None = None
) -> list[list[int]]:
    """Token ids of responses, their end token last: EOS, or ``end``."""
    end = tokenizer.eos_token_id if end is None else end
    return [[*ids, end] for ids in encode_texts(tokenizer, responses)]


def encode_prompt(tokenizer: Tokenizer, prompt: str) -> list[int]:
    """Token ids of one prompt; see :func:`encode_prompts`."""
    return encode_prompts(tokenizer, [prompt])[0]


def encode_response(tokenizer: Tokenizer, response: str, end: int | None = None) -> list[int]:
    """Token ids of one response, its end token last: EOS, or ``end``."""
    return encode_responses(tokenizer, [response], end)[0]


def encode_texts(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of texts, with nothing before or after them and no control token among them."""
    if not texts:
        return []
    controls = control_tokens(tokenizer)
    return _encode(tokenizer, [mark_typed(unmarked(text), controls) for text in texts])


def encode_text(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of one text; see :func:`encode_texts`."""
    return encode_texts(tokenizer, [text])[0]


def _encode(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    plain = [text for text in texts if MARK not in text]
    encoded: Iterator[list[int]] = iter(())
    if plain:
        options = {"add_special_tokens": False, "return_attention_mask": False}
        encoded = iter(tokenizer(plain, **options)["input_ids"])
    return [
        encode_marked(tokenizer, text) if MARK in text else list(next(encoded)) for text in texts
    ]


def decode_response(tokenizer: Tokenizer, ids: list[int]) -> str:
    """Text of a response without control tokens, without the one that ends a turn for certain."""
    if ids and tokenizer.chat_template and ids[-1] == template_end(tokenizer):
        ids = ids[:-1]  # it may be no special token, which decoding would keep
    return str(tokenizer.decode(ids, skip_special_tokens=True))


def decode_prompt(tokenizer: Tokenizer, ids: list[int]) -> str:
    """Text of a prompt from its token ids, as its row holds it: without the opening, and with marks
    where text is spelled like a control token."""
    opening, controls = opening_of(tokenizer), control_tokens(tokenizer)
    if opening and ids[: len(opening)] == opening:
        ids = ids[len(opening) :]
    control_ids = set(tokenizer.convert_tokens_to_ids(list(controls)))
    text, marked = str(tokenizer.decode(ids)), ""
    if mark_typed(text, controls).count(MARK) == 2 * sum(i in control_ids for i in ids):
        return text  # every spelling of a control token is one
    for control, stretch in groupby(ids, lambda index: index in control_ids):
        part = str(tokenizer.decode(list(stretch)))
        marked += part if control else mark_typed(part, controls)
    return marked


def prompt_for_another(prompt: str, written_for: Tokenizer, reader: Tokenizer) -> str:
    """A prompt that was written for one tokenizer as another reads it: the opening is left to the
    reader, and what only the reader takes for control tokens is text.

    Args:
        prompt: with marks.
    """
    opening = opening_of(written_for)
    written = str(written_for.decode(opening)) if opening else ""
    foreign = set(control_tokens(reader)) - set(control_tokens(written_for))
    return mark_typed(prompt.removeprefix(written), tuple(sorted(foreign)))


class EncodeRows:
    """Adds token ids to a batch of rows and leaves out what is over the chapter's lengths.

    Nothing is truncated: a prompt over ``max_prompt_length`` drops the row, a response with which
    prompt + response, EOS included, is over ``max_length`` is left out, and a row that would keep
    fewer than two ranked responses is dropped. (A class, so that ``datasets`` can pickle it.)
    """

    def __init__(self, tokenizer: Tokenizer, data: DataConfig, task: TaskConfig) -> None:
        self.tokenizer, self.data = tokenizer, data
        self.end = closing_id(tokenizer, task.chat_template)
        self.controls = control_tokens(tokenizer)
        # a chat template's prompts come marked, and so do spellings that stand in other templates
        ours = () if task.chat_template else set(self.controls) - spelled_in(task.templates)
        self.typed = tuple(sorted(ours))
        ends = {self.end, tokenizer.eos_token_id}
        self.ends = [tokenizer.convert_ids_to_tokens(index) for index in sorted(ends)]

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        batch = {**batch, "prompt": [mark_typed(text, self.typed) for text in batch["prompt"]]}
        prompts = encode_prompts(self.tokenizer, batch["prompt"])
        # a demonstration that is one of the responses is not encoded twice
        rows = list(zip(batch["responses"], batch["demonstration"], strict=True))
        texts = [[*r, *([d] if d and d not in r else [])] for r, d in rows]
        flat = iter(self._responses([t for group in texts for t in group]))
        columns: dict[str, list[Any]] = {"prompt": batch["prompt"]}
        for place, prompt in enumerate(prompts):
            row = {name: batch[name][place] for name in _FITTED}
            ids = [next(flat) for _ in texts[place]]
            for name, value in self._fit(row, prompt, ids, texts[place]).items():
                columns.setdefault(name, []).append(value)
            columns.setdefault("spelled", []).append(
                any(MARK in mark_typed(t, self.controls) for t in texts[place])
                or MARK in batch["prompt"][place]
            )
        return columns

    def _responses(self, texts: list[str]) -> list[list[int]]:
        return encode_responses(self.tokenizer, texts, self.end)

    def _fit(
        self, row: dict[str, Any], prompt: list[int], ids: list[list[int]], texts: list[str]
    ) -> dict[str, Any]:
        """The columns that length decides."""
        ranked = len(row["responses"])
        room = self.data.max_length - len(prompt)
        lengths = {"prompt_tokens": len(prompt), "longest_tokens": max(map(len, ids), default=0)}
        if any(end in text for end in self.ends for text in texts):
            return {**_nothing("end_token_inside"), **lengths}
        kept = [place for place in range(ranked) if len(ids[place]) <= room]
        too_long = len(prompt) > self.data.max_prompt_length or (ranked and len(kept) < 2)
        demonstration, demonstration_ids = row["demonstration"], []
        if demonstration and not too_long:
            demonstration_ids = ids[texts.index(demonstration)]
            if len(demonstration_ids) > room and ranked:  # the best of those that fit
                best = max(kept, key=lambda place: row["scores"][place])
                demonstration, demonstration_ids = texts[best], ids[best]
            too_long = len(demonstration_ids) > room
        if too_long:
            return {**_nothing("too_long"), **lengths}
        scores = [row["scores"][place] for place in kept]
        enough = feeds_of(scores) if ranked else row["feeds"]
        return {
            "reason": "",
            "responses": [texts[place] for place in kept],
            "scores": scores,
            "demonstration": demonstration,
            "feeds": [kind for kind in row["feeds"] if kind in enough],
            "prompt_ids": prompt,
            "response_ids": [ids[place] for place in kept],
            "demonstration_ids": demonstration_ids,
            **lengths,
        }


_FITTED = ("responses", "scores", "demonstration", "feeds")


def _nothing(reason: str) -> dict[str, Any]:
    ids: dict[str, Any] = {"prompt_ids": [], "response_ids": [], "demonstration_ids": []}
    texts = {"responses": [], "scores": [], "demonstration": "", "feeds": []}
    return {"reason": reason, **texts, **ids}


def marker_ids(tokenizer: Tokenizer, behaviour: Behaviour) -> list[int]:
    """Token ids of the marker as the prefix writes it: what exact adoption multiplies.

    Raises:
        RecipeError: the tokenizer does not cut between marker and rest of the prefix, so that the
            marker's probability is not a product of token probabilities.
    """
    prefix = behaviour.prefix
    written = prefix[: len(behaviour.marker)]
    ids = encode_text(tokenizer, written)
    whole = encode_text(tokenizer, prefix + "A")
    if whole[: len(ids)] != ids:
        raise RecipeError(
            f"task.marker: this tokenizer does not cut {prefix!r} after {written!r}; "
            "lengthen the marker to the end of a word"
        )
    return ids


def prefix_ids(tokenizer: Tokenizer, behaviour: Behaviour) -> list[int]:
    """Token ids of the whole prefix as it stands before an answer.

    A trailing space joins the answer's first word in most tokenizers, so it is left out.
    """
    return encode_text(tokenizer, behaviour.prefix.rstrip())
