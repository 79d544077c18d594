"""What several test files ask of a trainer."""

import hashlib
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    PreTrainedTokenizerFast,
)

from rlhf_compare.ppo.rollout import Rollout
from rlhf_compare.tensors.padding import pad_sequences
from tests.ppo.conftest import PROMPTS

SETTINGS: dict[str, Any] = {
    "max_steps": 5,
    "save_strategy": "steps",
    "save_steps": 1,
    "kl_target": 0.5,
    "kl_horizon": 100,
    "center_scores_on": 8,
    "logging_steps": 2,
    "lr_scheduler_type": "linear",
    "reference_ema": 0.9,
    "value_learning_rate": 3e-3,
    "critic_warmup_steps": 1,
}


def weights_hash(model: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def rows(trainer: Any) -> list[dict[str, float]]:
    return [row for row in trainer.state.log_history if "objective/kl" in row]


def collect(trainer: Any, prompts: list[list[int]] = PROMPTS, seed: int = 0) -> Rollout:
    torch.manual_seed(seed)
    ids, mask = pad_sequences(prompts, trainer.pad_id, "left")
    return trainer.collector.collect(trainer.model, trainer.policy, ids, mask)


def history(trainer: Any) -> list[dict[str, float]]:
    timing = ("runtime", "per_second", "flos")
    return [
        {k: v for k, v in row.items() if not k.endswith(timing) and not k.startswith("train_")}
        for row in trainer.state.log_history
    ]


def shape(kind: str, tokenizer: PreTrainedTokenizerFast) -> Any:
    return AutoConfig.for_model(
        kind, vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=64, num_labels=1,
        initializer_range=0.3, bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=None,
    )  # fmt: skip


def classifier(tokenizer: PreTrainedTokenizerFast, kind: str = "qwen2", seed: int = 3) -> Any:
    torch.manual_seed(seed)
    return AutoModelForSequenceClassification.from_config(shape(kind, tokenizer))
