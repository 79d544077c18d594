"""A chat template that is missing, or that refuses a conversation."""

import json
from pathlib import Path

import pytest

from rlhf_compare.data.config import DataConfig, TaskConfig
from rlhf_compare.data.prepare import prepare
from rlhf_compare.errors import RecipeError
from rlhf_compare.models.tokenizer import train_tokenizer
from tests.data.families import CHAT, chat_tokenizer


def test_a_tokenizer_without_a_chat_template_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"task\.chat_template: the tokenizer has no chat"):
        prepare(DataConfig(), TaskConfig(chat_template=True), lambda t: train_tokenizer(t, 300))


def test_a_conversation_that_the_chat_template_refuses_is_dropped(tmp_path: Path) -> None:
    tokenizer = chat_tokenizer()
    tokenizer.chat_template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}"
        + CHAT
    )
    system, user, answer = (
        {"role": role, "content": role} for role in ("system", "user", "assistant")
    )
    rows = [{"messages": [{**user, "content": f"q{i}"}, answer]} for i in range(40)]
    rows.append({"messages": [system, user, answer]})
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    data = DataConfig(source="file", path=str(path))
    ledger = prepare(data, TaskConfig(chat_template=True), lambda _: tokenizer).ledger
    assert ledger.dropped == {"template_refused": 1}
    assert ledger.first_dropped["template_refused"][0].detail == "no system turn"
