"""A world of a few tokens in which the trainer's promises can be checked to the bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import GPT2LMHeadModel, GPT2Model, PreTrainedTokenizerFast

from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.ppo.config import PPOConfig
from rlhf_compare.ppo.trainer import PPOTrainer
from tests.conftest import small_config

MakeTrainer = Callable[..., PPOTrainer]
PROMPTS = [[40 + i % 5] * (1 + i % 4) + [60 + i] for i in range(16)]


@pytest.fixture
def reward_model(tokenizer: PreTrainedTokenizerFast) -> ScalarHeadModel:
    torch.manual_seed(1)
    return ScalarHeadModel(GPT2Model(small_config(tokenizer)), init_std=1.0)


@pytest.fixture
def make_trainer(
    tokenizer: PreTrainedTokenizerFast,
    policy: GPT2LMHeadModel,
    reward_model: ScalarHeadModel,
    tmp_path: Path,
) -> MakeTrainer:
    """PPOTrainer on the small world; settings and arguments can be replaced by name."""

    def make(settings: dict[str, Any] | None = None, **arguments: Any) -> PPOTrainer:
        values: dict[str, Any] = {
            "output_dir": str(tmp_path / "out"),
            "per_device_train_batch_size": 4,
            "gradient_accumulation_steps": 2,
            "num_mini_batches": 2,
            "num_ppo_epochs": 2,
            "response_length": 6,
            "temperature": 1.0,
            "learning_rate": 1e-2,
            "max_steps": 3,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
            "num_sample_generations": 0,
            **(settings or {}),
        }
        return PPOTrainer(
            **{
                "args": PPOConfig(**values),
                "processing_class": tokenizer,
                "model": policy,
                "reward_model": reward_model,
                "train_dataset": Dataset.from_dict({"input_ids": PROMPTS}),
                **arguments,
            }
        )

    return make
