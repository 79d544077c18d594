"""A reward model with a tokenizer of its own reads texts, also texts longer than it has places."""

from types import SimpleNamespace
from typing import Any

import pytest

from rlhf_compare.models import scoring
from rlhf_compare.models.scoring import TextRewardModel

CLS, SEP = 1, 2


class Letters:
    """One token a letter."""

    cls_token_id, eos_token_id, sep_token_id = CLS, SEP, SEP

    def __call__(self, text: str, **_: Any) -> Any:
        return SimpleNamespace(input_ids=[10 + ord(c) - ord("a") for c in text])


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
    monkeypatch.setattr(scoring, "encode_prompt", lambda tok, text: tok(text).input_ids)
    monkeypatch.setattr(scoring, "encode_response", lambda tok, text: [*tok(text).input_ids, SEP])
    monkeypatch.setattr(scoring, "score_sequences", lambda _m, ids, _b: seen.extend(ids) or [0.0])
    model: Any = SimpleNamespace(config=SimpleNamespace(max_position_embeddings=places))
    TextRewardModel(model, Letters())(["abc"], ["d"])
    assert seen == [read]
