"""A comparison on a model of a few thousand weights."""

from pathlib import Path
from typing import Any

from rlhf_compare.collect import collect_results
from rlhf_compare.pipeline import Pipeline
from rlhf_compare.recipe import load_recipe
from rlhf_compare.reporting.results import as_data
from rlhf_compare.runs.identity import Stage

# A few steps of SFT and of the reward model, without a method: a test adds its own sections.
SHORT = """
name: micro
data: {source: embedded, max_rows: 100, eval_share: 0.3, max_prompt_length: 96, max_length: 200}
task: {sft_prefix_share: 0.5}
model:
  vocab_size: 320
  config: {model_type: gpt2, n_layer: 1, n_head: 2, n_embd: 16, n_positions: 256}
sft: {max_steps: 2, per_device_train_batch_size: 8, gradient_checkpointing: false}
reward:
  max_steps: 2
  per_device_train_batch_size: 8
  gradient_checkpointing: false
  accept_failed_doctor: true
tracking: {wandb: disabled}
"""
RECIPE = """
name: micro
data:
  {source: embedded, max_rows: 150, eval_share: 0.3, judge_share: 0.3, max_prompt_length: 96,
   max_length: 200}
task: {sft_prefix_share: 0.5}
model:
  vocab_size: 320
  config: {model_type: gpt2, n_layer: 1, n_head: 2, n_embd: 16, n_positions: 256}
sft: {num_train_epochs: 1, per_device_train_batch_size: 16, gradient_checkpointing: false}
reward:
  num_train_epochs: 1
  per_device_train_batch_size: 16
  gradient_checkpointing: false
  accept_failed_doctor: true  # a model of a few thousand weights deserves to fail
ppo:
  total_episodes: 32
  per_device_train_batch_size: 8
  gradient_accumulation_steps: 2
  num_mini_batches: 2
  num_ppo_epochs: 2
  response_length: 8
  logging_steps: 1
  center_scores_on: 16
dpo: {num_train_epochs: 1, per_device_train_batch_size: 16, gradient_checkpointing: false}
evaluation:
  {max_prompts: 6, samples_per_prompt: 2, max_new_tokens: 8, questions: ["What is a wasp?"]}
tracking: {wandb: disabled}
"""


def collected(pipeline: Pipeline, evaluations: dict[str, dict[int, Stage]]) -> dict[str, Any]:
    """What results.json holds; collecting checks its form."""
    return as_data(collect_results(pipeline.finished(evaluations), "test"))


def run(recipe_file: Path, root: Path, *overrides: str) -> tuple[dict[str, Any], list[str]]:
    lines: list[str] = []
    pipeline = Pipeline(load_recipe(recipe_file, overrides), root / "runs", say=lines.append)
    pipeline.check()
    evaluations = pipeline.compare(("sft", "ppo", "dpo"), (0, 1))
    return collected(pipeline, evaluations), lines
