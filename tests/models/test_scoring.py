"""A reward model with a tokenizer of its own reads texts, also texts longer than it has places."""

from types import SimpleNamespace
from typing import Any

import pytest

from rlhf_compare.models import scoring
from rlhf_compare.models.scoring import TextRewardModel

CLS, SEP = 1, 2


class Letters:
    """One token a letter, texts between CLS and SEP."""

    cls_token_id, eos_token_id, sep_token_id = CLS, SEP, SEP

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        letters = [10 + ord(c) - ord("a") for c in text]
        return {"input_ids": [CLS, *letters, SEP] if add_special_tokens else letters}


@pytest.mark.parametrize(
    ("places", "read"),
    [
        (None, [CLS, 10, 11, 12, 13, SEP]),
        (6, [CLS, 10, 11, 12, 13, SEP]),
        (4, [CLS, 12, 13, SEP]),  # the front of the prompt goes, the opening stays
        (3, [CLS, 13, SEP]),
    ],
)
def test_of_a_text_too_long_the_front_of_the_prompt_is_cut(
    monkeypatch: pytest.MonkeyPatch, places: int | None, read: list[int]
) -> None:
    seen: list[list[int]] = []

    def closed(tok: Letters, text: str) -> list[int]:
        return [*tok(text, add_special_tokens=False)["input_ids"], SEP]

    def opened(tok: Letters, text: str) -> list[int]:
        return [CLS, *closed(tok, text)[:-1]]

    monkeypatch.setattr(scoring, "encode_prompt", opened)
    monkeypatch.setattr(scoring, "encode_response", closed)
    monkeypatch.setattr(scoring, "score_sequences", lambda _m, ids, _b: seen.extend(ids) or [0.0])
    monkeypatch.setattr(scoring, "text_limit", lambda _model, _tokenizer: places)
    model: Any = SimpleNamespace()
    TextRewardModel(model, Letters())(["abc"], ["d"])
    assert seen == [read]
