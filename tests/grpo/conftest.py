"""A world of a few tokens in which what TRL's trainer is fed can be seen."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import GPT2LMHeadModel, GPT2Model, PreTrainedTokenizerFast

from rlhf_compare.grpo.config import GRPOConfig
from rlhf_compare.grpo.trainer import EncodedGRPOTrainer
from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.models.policy import load_policy
from tests.conftest import small_config

MakeGRPO = Callable[..., EncodedGRPOTrainer]
PROMPTS = [[40 + i % 5] * (1 + i % 4) + [60 + i] for i in range(16)]


@pytest.fixture
def reward_model(tokenizer: PreTrainedTokenizerFast) -> ScalarHeadModel:
    torch.manual_seed(1)
    return ScalarHeadModel(GPT2Model(small_config(tokenizer)), init_std=1.0).eval()


@pytest.fixture
def saved_policy(policy: GPT2LMHeadModel, tmp_path: Path) -> Path:
    """TRL loads the reference from where the policy was loaded."""
    policy.save_pretrained(tmp_path / "sft")
    return tmp_path / "sft"


@pytest.fixture
def make_grpo(
    tokenizer: PreTrainedTokenizerFast,
    saved_policy: Path,
    reward_model: ScalarHeadModel,
    tmp_path: Path,
) -> MakeGRPO:
    """The trainer on the small world; settings and arguments can be replaced by name."""

    def make(settings: dict[str, Any] | None = None, **arguments: Any) -> EncodedGRPOTrainer:
        values: dict[str, Any] = {
            "output_dir": str(tmp_path / "out"),
            "per_device_train_batch_size": 8,
            "gradient_accumulation_steps": 2,
            "num_generations": 4,
            "max_completion_length": 6,
            "beta": 0.1,
            "learning_rate": 1e-2,
            "max_steps": 3,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
            "bf16": False,
            "gradient_checkpointing": False,
            "disable_dropout": True,
            **(settings or {}),
        }
        return EncodedGRPOTrainer(
            **{
                "model": load_policy(saved_policy),
                "reward_model": reward_model,
                "args": GRPOConfig(**values),
                "train_dataset": Dataset.from_dict({"prompt": PROMPTS}),
                "processing_class": tokenizer,
                **arguments,
            }
        )

    return make
