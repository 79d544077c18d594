"""Text to token ids: the one function that every stage's tokens come from.

``prompt_ids = tok(prompt)``, ``response_ids = tok(response) + [eos]``, concatenated and never
tokenised together. GPT-2 ends the prompt in token 220 (a space) and starts the response with 5756
(``Let``); as one string both merge into 3914 (`` Let``), a context that inference never sees.
"""

from collections.abc import Sequence
from typing import Any

from rlhf_compare.data.config import DataConfig
from rlhf_compare.data.tasks import feeds_of
from rlhf_compare.errors import RecipeError

Tokenizer = Any  # a transformers PreTrainedTokenizerBase; not imported, it costs seconds


def encode_prompts(tokenizer: Tokenizer, prompts: Sequence[str]) -> list[list[int]]:
    """Token ids of prompts; no special tokens are added."""
    if not prompts:
        return []
    encoded = tokenizer(list(prompts), add_special_tokens=False, return_attention_mask=False)
    return list(encoded["input_ids"])


def encode_responses(tokenizer: Tokenizer, responses: Sequence[str]) -> list[list[int]]:
    """Token ids of responses, EOS last."""
    return [[*ids, tokenizer.eos_token_id] for ids in encode_prompts(tokenizer, responses)]


def encode_prompt(tokenizer: Tokenizer, prompt: str) -> list[int]:
    """Token ids of one prompt."""
    return encode_prompts(tokenizer, [prompt])[0]


def encode_response(tokenizer: Tokenizer, response: str) -> list[int]:
    """Token ids of one response, EOS last."""
    return encode_responses(tokenizer, [response])[0]


def decode_response(tokenizer: Tokenizer, ids: list[int]) -> str:
    """Text of a response without special tokens."""
    return str(tokenizer.decode(ids, skip_special_tokens=True))


class EncodeRows:
    """Adds token ids to a batch of rows and leaves out what is over the chapter's lengths.

    Nothing is truncated: a prompt over ``max_prompt_length`` drops the row, a response with which
    prompt + response, EOS included, is over ``max_length`` is left out, and a row that would keep
    fewer than two ranked responses is dropped. (A class, so that ``datasets`` can pickle it.)
    """

    def __init__(self, tokenizer: Tokenizer, data: DataConfig) -> None:
        self.tokenizer, self.data = tokenizer, data

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        prompts = encode_prompts(self.tokenizer, batch["prompt"])
        # a demonstration that is one of the responses is not encoded twice
        rows = list(zip(batch["responses"], batch["demonstration"], strict=True))
        texts = [[*r, *([d] if d and d not in r else [])] for r, d in rows]
        flat = iter(encode_responses(self.tokenizer, [t for group in texts for t in group]))
        columns: dict[str, list[Any]] = {"prompt": batch["prompt"]}
        for place, prompt in enumerate(prompts):
            row = {name: batch[name][place] for name in _FITTED}
            ids = [next(flat) for _ in texts[place]]
            for name, value in self._fit(row, prompt, ids, texts[place]).items():
                columns.setdefault(name, []).append(value)
        return columns

    def _fit(
        self, row: dict[str, Any], prompt: list[int], ids: list[list[int]], texts: list[str]
    ) -> dict[str, Any]:
        """The columns that length decides."""
        ranked = len(row["responses"])
        room = self.data.max_length - len(prompt)
        lengths = {"prompt_tokens": len(prompt), "longest_tokens": max(map(len, ids), default=0)}
        eos = self.tokenizer.eos_token_id
        if any(response.index(eos) < len(response) - 1 for response in ids):
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
            "feeds": [stage for stage in row["feeds"] if stage in enough],
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


def marker_ids(tokenizer: Tokenizer, prefix: str, marker: str) -> list[int]:
    """Token ids of the marker as the prefix writes it: what exact adoption multiplies.

    Raises:
        RecipeError: the tokenizer does not cut between marker and rest of the prefix, so that the
            marker's probability is not a product of token probabilities.
    """
    written = prefix[: len(marker)]
    ids = encode_prompt(tokenizer, written)
    whole = encode_prompt(tokenizer, prefix + "A")
    if whole[: len(ids)] != ids:
        raise RecipeError(
            f"task.marker: this tokenizer does not cut {prefix!r} after {written!r}; "
            "lengthen the marker to the end of a word"
        )
    return ids


def prefix_ids(tokenizer: Tokenizer, prefix: str) -> list[int]:
    """Token ids of the whole prefix as it stands before an answer.

    A trailing space joins the answer's first word in most tokenizers, so it is left out.
    """
    return encode_prompt(tokenizer, prefix.rstrip())
