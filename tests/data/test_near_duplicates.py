"""Prompts that are nearly the same are one prompt."""

import sys
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from rlhf_compare.data.config import TaskConfig
from rlhf_compare.data.prepare import prepare
from rlhf_compare.errors import RecipeError
from tests.data.prepared import questions, write

# --- near-duplicates


def near(tmp_path: Path, tokenizer: PreTrainedTokenizerFast, **fields: object) -> dict[str, Any]:
    rows = questions(50)
    rows.append({"question": "What is... number 7", "answer": "It is 7."})
    rows.append({"question": LONG, "answer": "a"})
    rows.append({"question": LONG.replace("seven", "eight"), "answer": "a"})
    config = write(tmp_path / "rows.jsonl", rows, **fields)
    return prepare(config, TaskConfig(), lambda _: tokenizer).report["near_duplicates"]


LONG = "Please tell me " + " ".join(f"why thing {i} and" for i in range(12)) + " seven"


def test_near_duplicates_by_letters(
    tmp_path: Path, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    found = near(tmp_path, byte_tokenizer)
    assert (found["prompts"], found["prompts_with_a_near_duplicate"]) == (53, 2)


def test_near_duplicates_by_minhash(
    tmp_path: Path, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    pytest.importorskip("datasketch", reason="the optional library is not installed")
    found = near(tmp_path, byte_tokenizer, near_duplicates="minhash", minhash_threshold=0.7)
    assert (found["prompts"], found["prompts_with_a_near_duplicate"]) == (53, 2)  # the long two


def test_minhash_without_its_library_says_how_to_get_it(
    tmp_path: Path, byte_tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasketch", None)
    with pytest.raises(RecipeError, match=r"pip install 'rlhf-compare\[near-duplicates\]'"):
        near(tmp_path, byte_tokenizer, near_duplicates="minhash")
