"""A recipe of a few thousand weights whose every stage takes a handful of steps."""

from pathlib import Path

import pytest

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
