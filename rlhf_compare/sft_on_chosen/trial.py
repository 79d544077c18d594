"""Builds the baseline's trainer on a model of a few weights: refusals are known before the run."""

from typing import Any

from datasets import Dataset
from peft import LoraConfig

from rlhf_compare.runs.imitation import MeteredSFTTrainer
from rlhf_compare.runs.trial import (
    BETTER,
    PROMPT,
    no_probe,
    one_step,
    train_once,
    trial_policy,
    trial_tokenizer,
)


def try_step(args: Any, lora: LoraConfig | None) -> None:
    """One step; raises what the trainer raises."""
    columns = {"input_ids": [PROMPT + BETTER] * 2, "completion_mask": [[0, 0, 1, 1]] * 2}
    rows = Dataset.from_dict(columns)
    train_once(
        MeteredSFTTrainer(
            model=trial_policy(),
            args=one_step(args),
            train_dataset=rows,
            eval_dataset=rows,
            processing_class=trial_tokenizer(),
            peft_config=lora,
            probe=no_probe,
        )
    )
