"""Models as people publish them, through the recipe's stages: what is saved is what was trained."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

from rlhf_compare.data.store import DataDirectory
from rlhf_compare.dpo import stage as dpo
from rlhf_compare.errors import RecipeError
from rlhf_compare.pipeline import Pipeline
from rlhf_compare.ppo import stage as ppo
from rlhf_compare.recipe import load_recipe
from rlhf_compare.sft import stage as sft

from .micro_recipe import RECIPE
from .models.families import FAMILIES, LLAMA_3, OPENING_FAMILIES, byte_level

STEEP = ["sft.learning_rate=1e-2", "dpo.learning_rate=1e-2", "ppo.learning_rate=1e-2"]


def publish(
    folder: Path, tokenizer: PreTrainedTokenizerFast, rows: int | None = None, **settings: Any
) -> str:
    """A small Llama with a tokenizer, as a directory."""
    torch.manual_seed(0)
    eos = tokenizer.eos_token_id
    config = LlamaConfig(
        vocab_size=rows or len(tokenizer), hidden_size=16, intermediate_size=32,
        num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
        max_position_embeddings=400, bos_token_id=tokenizer.bos_token_id, eos_token_id=eos,
        pad_token_id=None, initializer_range=0.3,
    )  # fmt: skip
    model = LlamaForCausalLM(config).to(settings.pop("dtype", torch.float32))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if settings:
        path = folder / "generation_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    return str(folder)


def pipeline(root: Path, model: str, *overrides: str) -> Pipeline:
    recipe = root / "micro.yaml"
    start = f"  path: {model}"
    lines = RECIPE.replace("max_prompt_length: 96, max_length: 200", "max_prompt_length: 200, "
                           "max_length: 390").splitlines()  # fmt: skip
    kept = [line for line in lines if not line.startswith(("  vocab_size", "  config:"))]
    kept.insert(kept.index("model:") + 1, start)
    recipe.write_text("\n".join(kept))
    given = ["data.judge_share=0", *overrides]
    return Pipeline(load_recipe(recipe, given), root / "runs", say=lambda _: None)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The policies that the stages trained, by stage."""
    seen: dict[str, Any] = {}

    def watch(module: Any, name: str, stage: str) -> None:
        original = getattr(module, name)

        def loaded(*args: Any, **kwargs: Any) -> Any:
            model = original(*args, **kwargs)
            seen.setdefault(stage, model)  # the policy is loaded before the reference
            return model

        monkeypatch.setattr(module, name, loaded)

    watch(sft, "build_policy", "sft")
    watch(dpo, "load_policy", "dpo")
    watch(ppo, "load_policy", "ppo")
    return seen


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        result: Tensor = model.eval()(torch.arange(12).unsqueeze(0)).logits
    return result


def assert_saved(stage: Any, policy: Any, start: str) -> None:
    """What lies in the stage's directory is the trained policy, and that is not the start."""
    saved = AutoModelForCausalLM.from_pretrained(stage.directory.model, dtype=torch.float32)
    torch.testing.assert_close(logits(saved), logits(policy), rtol=0, atol=1e-5)
    before = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
    assert float((logits(saved) - logits(before)).abs().max()) > 1e-3


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.9, "top_p": 0.6},
        {"do_sample": False, "top_k": 20, "min_p": 0.1, "length_penalty": 2.0},
    ],
)
def test_sampling_settings_without_do_sample_are_saved_by_every_stage(
    tmp_path: Path, trained: dict[str, Any], settings: dict[str, Any]
) -> None:
    model = publish(tmp_path / "model", byte_level(), **settings)
    line = pipeline(tmp_path, model, *STEEP)
    for name, stage in (
        ("sft", line.sft()),
        ("dpo", line.method("dpo", 0)),
        ("ppo", line.method("ppo", 0)),
    ):
        assert_saved(stage, trained[name], model)
        kept = json.loads((stage.directory.model / "generation_config.json").read_text())
        assert kept["do_sample"] is True
        assert {k: kept[k] for k in settings if k in ("temperature", "top_p", "top_k")} == {
            k: v for k, v in settings.items() if k in ("temperature", "top_p", "top_k")
        }


def test_settings_that_nobody_can_mend_are_refused_before_anything_trains(tmp_path: Path) -> None:
    model = publish(tmp_path / "model", byte_level(), max_new_tokens=0)
    with pytest.raises(RecipeError, match="max_new_tokens"):
        pipeline(tmp_path, model).sft()


def test_a_bfloat16_checkpoint_trains_in_float32(tmp_path: Path, trained: dict[str, Any]) -> None:
    model = publish(tmp_path / "model", byte_level(), dtype=torch.bfloat16)
    line = pipeline(tmp_path, model, "model.dtype=bfloat16", *STEEP)
    for name, stage in (
        ("sft", line.sft()),
        ("dpo", line.method("dpo", 0)),
        ("ppo", line.method("ppo", 0)),
    ):
        assert {p.dtype for p in trained[name].parameters()} == {torch.float32}
        assert_saved(stage, trained[name], model)


def test_a_pad_token_without_a_row_is_replaced(tmp_path: Path, trained: dict[str, Any]) -> None:
    tokenizer = byte_level()
    rows = len(tokenizer)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    model = publish(tmp_path / "model", tokenizer, rows=rows)
    line = pipeline(tmp_path, model, *STEEP)
    for name, stage in (
        ("sft", line.sft()),
        ("dpo", line.method("dpo", 0)),
        ("ppo", line.method("ppo", 0)),
    ):
        assert_saved(stage, trained[name], model)
        assert AutoTokenizer.from_pretrained(stage.directory.model).pad_token == "<|end_of_text|>"


def test_a_word_without_a_row_is_refused(tmp_path: Path) -> None:
    tokenizer = byte_level()
    rows = len(tokenizer)
    tokenizer.add_tokens(["wasp"])
    model = publish(tmp_path / "model", tokenizer, rows=rows)
    with pytest.raises(RecipeError, match=rf"'wasp' the id {rows}, .* has {rows} rows; resize"):
        pipeline(tmp_path, model).sft()


@pytest.mark.parametrize("family", OPENING_FAMILIES)
def test_prompts_open_with_one_bos_in_data_training_and_evaluation(
    tmp_path: Path, family: str
) -> None:
    tokenizer = FAMILIES[family]()
    model = publish(tmp_path / "model", tokenizer)
    long = ("evaluation.max_new_tokens=16", "ppo.response_length=16")  # for the marker's letters
    line = pipeline(tmp_path, model, *long)
    done = line.compare(("sft", "ppo", "dpo"), (0,))
    rows = DataDirectory(line.data().directory.path).train()
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    for row in rows:
        assert row["prompt_ids"] == tokenizer(row["prompt"])["input_ids"]
        assert row["prompt_ids"].count(bos) == 1
        assert all(bos not in ids and ids[-1] == eos for ids in row["response_ids"])
    assert set(done) == {"sft", "ppo", "dpo"}
    samples = (line.method("ppo", 0).directory.path / "samples.jsonl").read_text().splitlines()
    assert json.loads(samples[0])["prompt"].startswith(tokenizer.bos_token)


def test_answers_end_as_the_chat_template_ends_them(
    tmp_path: Path, trained: dict[str, Any]
) -> None:
    tokenizer = byte_level(chat_template=LLAMA_3)
    model = publish(tmp_path / "model", tokenizer)
    line = pipeline(tmp_path, model, "task.chat_template=true", *STEEP)
    stage = line.sft()
    begin, turn_end, eos = tokenizer.convert_tokens_to_ids(
        ["<|begin_of_text|>", "<|eot_id|>", "<|end_of_text|>"]
    )
    for row in DataDirectory(line.data().directory.path).train():
        assert row["prompt_ids"].count(begin) == 1 and row["prompt_ids"][0] == begin
        assert {ids[-1] for ids in row["response_ids"]} == {turn_end}
        assert row["demonstration_ids"].count(turn_end) == 1
        assert eos not in row["demonstration_ids"]
    assert_saved(stage, trained["sft"], model)
    kept = json.loads((stage.directory.model / "generation_config.json").read_text())
    assert set(kept["eos_token_id"]) == {turn_end, eos}


def test_a_roberta_reads_as_many_tokens_as_it_has_positions(tmp_path: Path) -> None:
    """130 positions, counted from 2 on: 128 tokens; longer pairs are left out, longer texts cut."""
    own = FAMILIES["unigram"](pad_token="<unk>", cls_token="<s>", sep_token="</s>")
    encoder = tmp_path / "encoder"
    own.save_pretrained(encoder)
    config = RobertaConfig(
        vocab_size=len(own), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=130, pad_token_id=1,
    )  # fmt: skip
    RobertaModel(config).save_pretrained(encoder)
    model = publish(tmp_path / "model", byte_level())
    overrides = [f"reward.backbone={encoder}", "reward.pooling=first"]
    line = pipeline(tmp_path, model, *overrides)
    done = line.compare(("sft", "ppo"), (0,))
    assert set(done) == {"sft", "ppo"}
