"""A few pairs and a model of a few hundred weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from rlhf_compare.dpo.config import DPOConfig
from rlhf_compare.dpo.trainer import EncodedDPOTrainer

MakeDPO = Callable[..., EncodedDPOTrainer]
SETTINGS: dict[str, Any] = {
    "per_device_train_batch_size": 4,
    "per_device_eval_batch_size": 4,
    "num_train_epochs": 1,
    "learning_rate": 1e-2,
    "beta": 0.5,
    "logging_steps": 1,
    "bf16": False,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
    "max_length": None,
    "precompute_ref_log_probs": True,
}


@pytest.fixture
def pairs(tokenizer: PreTrainedTokenizerFast) -> Dataset:
    eos = tokenizer.eos_token_id
    return Dataset.from_dict(
        {
            "prompt_ids": [[40 + i % 5] * (1 + i % 4) for i in range(16)],
            "chosen_ids": [[60 + i] * (1 + i % 5) + [eos] for i in range(16)],
            "rejected_ids": [[90 + i] * (1 + i % 7) + [eos] for i in range(16)],
        }
    )


@pytest.fixture
def make_dpo(
    tokenizer: PreTrainedTokenizerFast, policy: GPT2LMHeadModel, pairs: Dataset, tmp_path: Path
) -> MakeDPO:
    """The trainer on the small world; settings and arguments can be replaced by name."""

    def make(settings: dict[str, Any] | None = None, **arguments: Any) -> EncodedDPOTrainer:
        values = {**SETTINGS, "output_dir": str(tmp_path / "out"), **(settings or {})}
        return EncodedDPOTrainer(
            **{
                "model": policy,
                "args": DPOConfig(**values),
                "processing_class": tokenizer,
                "train_dataset": pairs,
                **arguments,
            }
        )

    return make
