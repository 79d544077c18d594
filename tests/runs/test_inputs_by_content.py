"""Inputs of a stage count by what they hold, not by their path."""

from pathlib import Path
from typing import Any

import pytest
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from rlhf_compare.inputs import sft_inputs
from rlhf_compare.recipe import load_recipe
from rlhf_compare.runs import fingerprints

# --- inputs by content


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json"])
def test_other_files_under_the_same_path_are_another_model(
    recipe_file: Path,
    tmp_path: Path,
    policy: GPT2LMHeadModel,
    tokenizer: PreTrainedTokenizerFast,
    file: str,
) -> None:
    folder = tmp_path / "model"
    policy.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    recipe = load_recipe(recipe_file, ["model.config=null", f"model.path={folder}"])

    def start() -> dict[str, Any]:
        return sft_inputs(recipe, "data")

    before = start()
    assert start() == before
    (folder / "README.md").write_text("no part of the model")
    assert start() == before
    content = bytearray((folder / file).read_bytes())
    content[-1] ^= 1
    (folder / file).write_bytes(content)
    assert start() != before


def test_paths_anywhere_in_a_section_count_by_content(tmp_path: Path) -> None:
    file = tmp_path / "deepspeed.json"
    file.write_text("{}")
    section = {"deepspeed": str(file), "lora": {"paths": [str(tmp_path)]}, "beta": 0.1, "x": "."}
    before = fingerprints.by_content(section)
    assert before["beta"] == 0.1 and before["x"] == "."
    file.write_text('{"a": 1}')
    after = fingerprints.by_content(section)
    assert before["deepspeed"] != after["deepspeed"] and before["lora"] != after["lora"]


def test_a_hub_id_is_the_commit_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert fingerprints.hub_commit("org/name", None) is None
    refs = tmp_path / "models--org--name" / "refs"
    refs.mkdir(parents=True)
    (refs / "main").write_text("c0ffee")
    assert fingerprints.hub_commit("org/name", None) == "c0ffee"
