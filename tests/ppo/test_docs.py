"""The page's example runs as it stands; its table and the metrics page name what there is."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
import torch
from transformers import GPT2ForSequenceClassification, GPT2LMHeadModel, TrainingArguments

from rlhf_compare.models.tokenizer import train_tokenizer
from rlhf_compare.ppo import PPOConfig
from tests.conftest import small_config
from tests.ppo.conftest import MakeTrainer

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = train_tokenizer(["Name a colour. Name a river."], 300)
    torch.manual_seed(0)
    config = small_config(tokenizer)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "my-sft-model")
    tokenizer.save_pretrained(tmp_path / "my-sft-model")
    config.num_labels = 1
    GPT2ForSequenceClassification(config).save_pretrained(tmp_path / "my-reward-model")
    code = re.search(r"```python\n(.*?)```", (DOCS / "moving-from-trl-ppo.md").read_text(), re.S)
    assert code is not None
    monkeypatch.chdir(tmp_path)
    exec(compile(code[1], "moving-from-trl-ppo.md", "exec"), {})
    samples = (tmp_path / "my-ppo-model" / "samples.jsonl").read_text().splitlines()
    assert {"prompt", "response", "score"} <= set(json.loads(samples[0]))


def test_every_field_of_ours_is_on_the_page() -> None:
    page = (DOCS / "moving-from-trl-ppo.md").read_text()
    inherited = {field.name for field in dataclasses.fields(TrainingArguments)}
    ours = {field.name for field in dataclasses.fields(PPOConfig)} - inherited
    assert {name for name in ours if f"`{name}`" not in page and f"`{name}=" not in page} == set()


def test_every_logged_metric_is_explained(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer({"target_kl": 1.0})
    trainer.train()
    row = next(row for row in trainer.state.log_history if "objective/kl" in row)
    page = (DOCS / "ppo-metrics.md").read_text()
    known = {"learning_rate", "epoch", "step"}  # transformers' own
    assert {name for name in set(row) - known if f"| `{name}` |" not in page} == set()
