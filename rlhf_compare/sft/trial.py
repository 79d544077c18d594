"""Builds SFT's trainer on a model of a few weights, so that a refusal is known before the run."""

from typing import Any

from datasets import Dataset
from peft import LoraConfig

from rlhf_compare.runs.imitation import MeteredSFTTrainer
from rlhf_compare.runs.trial import (
    BETTER,
    PROMPT,
    one_step,
    train_once,
    trial_policy,
    trial_tokenizer,
)


def try_step(args: Any, _: LoraConfig | None) -> None:
    """One step; raises what the trainer raises."""
    rows = {"input_ids": [PROMPT + BETTER] * 2, "completion_mask": [[0, 0, 1, 1]] * 2}
    train_once(
        MeteredSFTTrainer(
            model=trial_policy(),
            args=one_step(args),
            train_dataset=Dataset.from_dict(rows),
            processing_class=trial_tokenizer(),
        )
    )
