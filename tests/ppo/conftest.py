"""A world of a few tokens in which the trainer's promises can be checked to the bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import GPT2Config, GPT2LMHeadModel, GPT2Model, PreTrainedTokenizerFast

from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.models.tokenizer import train_tokenizer
from rlhf_compare.ppo.config import PPOConfig
from rlhf_compare.ppo.trainer import PPOTrainer

MakeTrainer = Callable[..., PPOTrainer]
PROMPTS = [[40 + i % 5] * (1 + i % 4) + [60 + i] for i in range(16)]


def small_config(tokenizer: PreTrainedTokenizerFast) -> GPT2Config:
    eos = tokenizer.eos_token_id
    return GPT2Config(
        vocab_size=len(tokenizer), n_layer=2, n_head=2, n_embd=16, n_positions=64,
        bos_token_id=eos, eos_token_id=eos, pad_token_id=eos, initializer_range=0.3,
    )  # fmt: skip


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(["some text to learn a few merges from, some text"], 300)


@pytest.fixture
def policy(tokenizer: PreTrainedTokenizerFast) -> GPT2LMHeadModel:
    torch.manual_seed(0)
    return GPT2LMHeadModel(small_config(tokenizer))


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
