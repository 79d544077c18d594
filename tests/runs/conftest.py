"""A recipe of a few thousand weights whose every stage takes a handful of steps."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb

from rlhf_compare.runs.wandb_account import (
    forget_refusals,
)
from tests.runs.interruptions import STAGES, train
from tests.runs.wandb_stage import KEY

from .wandb_server import WandbServer

RECIPE = """
name: micro
data: {source: embedded, max_rows: 120, eval_share: 0.3, max_prompt_length: 96, max_length: 200}
task: {sft_prefix_share: 0.5}
model:
  vocab_size: 320
  config: {model_type: gpt2, n_layer: 1, n_head: 2, n_embd: 16, n_positions: 256}
sft:
  num_train_epochs: 2
  per_device_train_batch_size: 16
  gradient_accumulation_steps: 2
  logging_steps: 2
  gradient_checkpointing: false
reward:
  num_train_epochs: 3
  per_device_train_batch_size: 16
  early_stopping_patience: 3
  logging_steps: 2
  gradient_checkpointing: false
  accept_failed_doctor: true
ppo:
  total_episodes: 64
  per_device_train_batch_size: 8
  gradient_accumulation_steps: 2
  num_mini_batches: 2
  num_ppo_epochs: 2
  response_length: 8
  logging_steps: 2
  center_scores_on: 16
  kl_target: 0.5
  reference_ema: 0.9
dpo:
  num_train_epochs: 2
  per_device_train_batch_size: 16
  learning_rate: 1e-3
  logging_steps: 2
  keep: best
  gradient_checkpointing: false
evaluation:
  {max_prompts: 6, samples_per_prompt: 1, max_new_tokens: 8, during_training: 3, probe_prompts: 4}
tracking: {wandb: disabled}
"""


@pytest.fixture(scope="session")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "micro.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="session")
def straight(recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All four stages, never interrupted."""
    root = tmp_path_factory.mktemp("straight")
    for stage in STAGES:
        train(recipe_file, root, stage)
    return root


@pytest.fixture
def root(straight: Path, tmp_path: Path) -> Path:
    shutil.copytree(straight, tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture
def fresh_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No account, no variable, nothing remembered; W&B reads the environment anew."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rlhf_compare.runs.wandb_sweep._taken", [])
    forget_refusals()
    wandb.teardown()
    yield
    forget_refusals()
    wandb.teardown()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    served = WandbServer()
    monkeypatch.setenv("WANDB_BASE_URL", served.url)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    yield served
    served.stop()
