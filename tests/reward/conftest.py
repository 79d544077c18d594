"""A world of numbers: responses whose order a tiny model can learn."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import GPT2Config, GPT2Model, PreTrainedTokenizerFast

from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.models.tokenizer import train_tokenizer
from rlhf_compare.reward.config import RewardModelConfig
from rlhf_compare.reward.trainer import RankingTrainer

MakeTrainer = Callable[..., RankingTrainer]


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(["some text to learn a few merges from, some text, thanks"], 300)


def backbone(tokenizer: PreTrainedTokenizerFast, positions: int = 64) -> GPT2Model:
    eos = tokenizer.eos_token_id
    return GPT2Model(
        GPT2Config(
            vocab_size=len(tokenizer), n_layer=1, n_head=2, n_embd=16, n_positions=positions,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, initializer_range=0.1,
            bos_token_id=eos, eos_token_id=eos, pad_token_id=eos,
        )
    )  # fmt: skip


def ranked_rows(eos: int, prompts: int = 12, most: int = 5) -> Dataset:
    """2 to ``most`` responses a prompt, of unequal length; the ranking is by the first token."""
    rows = []
    for n in range(prompts):
        count = 2 + n % (most - 1)
        rows.append(
            {
                "prompt": f"prompt {n}",
                "prompt_ids": [40 + n] * (1 + n % 3),
                "response_ids": [[60 + k] * (1 + (n + k) % 3) + [eos] for k in range(count)],
                "scores": [float(k) for k in range(count)],
            }
        )
    return Dataset.from_list(rows)


@pytest.fixture
def make_trainer(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> MakeTrainer:
    """RankingTrainer on the world; settings and arguments can be replaced by name."""

    def make(settings: dict[str, Any] | None = None, **arguments: Any) -> RankingTrainer:
        torch.manual_seed(0)
        values: dict[str, Any] = {
            "output_dir": str(tmp_path), "per_device_train_batch_size": 4, "num_train_epochs": 1,
            "learning_rate": 1e-2, "logging_steps": 1, "save_strategy": "no", "report_to": "none",
            "disable_tqdm": True, "bf16": False, "gradient_checkpointing": False,
            "lr_scheduler_type": "constant", **(settings or {}),
        }  # fmt: skip
        defaults = {
            "model": ScalarHeadModel(backbone(tokenizer), init_std=0.5),
            "train_dataset": ranked_rows(tokenizer.eos_token_id),
            "processing_class": tokenizer,
        }
        return RankingTrainer(args=RewardModelConfig(**values), **{**defaults, **arguments})

    return make
