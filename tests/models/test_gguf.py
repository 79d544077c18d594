"""A GGUF file is written once as a plain model, with the weights, tokens and template it holds."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rlhf_compare.errors import RecipeError
from rlhf_compare.models import gguf as reading
from rlhf_compare.models.gguf import gguf_facts, gguf_fault, write_plain
from tests.models.tiny_gguf import TEMPLATE, small_llama, write_gguf

needs_reader = pytest.mark.skipif(not reading.has_reader(), reason="the package gguf is missing")


@needs_reader
def test_the_plain_model_has_the_weights_of_the_file(tmp_path: Path, tokenizer: Any) -> None:
    model = small_llama(tokenizer)
    write_gguf(tmp_path / "m.gguf", model, tokenizer)
    write_plain(tmp_path / "m.gguf", tmp_path / "plain")
    read = AutoModelForCausalLM.from_pretrained(tmp_path / "plain").state_dict()
    for name, weight in model.state_dict().items():
        assert torch.equal(read[name], weight), name


@needs_reader
def test_a_quantised_file_becomes_a_model_that_trains_and_saves(
    tmp_path: Path, tokenizer: Any
) -> None:
    model = small_llama(tokenizer)
    write_gguf(tmp_path / "m.gguf", model, tokenizer, kind="Q8_0")
    state = torch.random.get_rng_state()
    write_plain(tmp_path / "m.gguf", tmp_path / "plain")
    assert torch.equal(torch.random.get_rng_state(), state)  # as if it had been there before
    config = json.loads((tmp_path / "plain" / "config.json").read_text())
    assert "quantization_config" not in config and config["dtype"] == "float32"
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "plain")
    given = model.state_dict()["model.layers.0.mlp.up_proj.weight"]
    read = plain.state_dict()["model.layers.0.mlp.up_proj.weight"]
    # a block of 32 weights has steps of its largest weight / 127, rounded to half a step
    assert not torch.equal(read, given)
    assert (read - given).abs().max() <= given.abs().max() / 127 * 0.51
    plain.save_pretrained(tmp_path / "again")


@needs_reader
def test_tokens_template_and_ends_are_those_of_the_file(tmp_path: Path, tokenizer: Any) -> None:
    write_gguf(tmp_path / "m.gguf", small_llama(tokenizer), tokenizer)
    write_plain(tmp_path / "m.gguf", tmp_path / "plain")
    read = AutoTokenizer.from_pretrained(tmp_path / "plain")
    assert read("some text")["input_ids"] == tokenizer("some text")["input_ids"]
    assert read.chat_template == TEMPLATE
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "plain")
    eos = tokenizer.eos_token_id
    for one in (read, plain.generation_config):
        assert (one.eos_token_id, one.pad_token_id) == (eos, eos)
    assert gguf_facts(tmp_path / "m.gguf").licence == "cc0-1.0"


def test_a_file_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    page = tmp_path / "m.gguf"
    assert gguf_fault("model.path", page) == f"model.path: no file {str(page)!r}"
    page.write_text("<html>not found</html>")
    with pytest.raises(RecipeError, match=r"model.path: .* begins with b'<htm'"):
        write_plain(page, tmp_path / "plain")


def test_a_missing_reader_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr(reading, "has_reader", lambda: False)
    fault = gguf_fault("model.path", tmp_path / "m.gguf")
    assert fault is not None and fault.endswith("is read with the package gguf: pip install gguf")


@needs_reader
def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF" + bytes(40))
    with pytest.raises(RecipeError, match="cannot be read as a language model"):
        write_plain(tmp_path / "m.gguf", tmp_path / "plain")
