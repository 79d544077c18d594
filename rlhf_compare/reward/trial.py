"""Builds the reward model's trainer on a model of a few weights, so that a refusal is known before
the run."""

from typing import Any

from datasets import Dataset
from peft import LoraConfig

from rlhf_compare.reward.trainer import RankingTrainer
from rlhf_compare.runs.trial import (
    BETTER,
    PROMPT,
    WORSE,
    one_step,
    train_once,
    trial_scorer,
    trial_tokenizer,
)


def try_step(args: Any, _: LoraConfig | None) -> None:
    """One step; raises what the trainer raises."""
    rows = Dataset.from_dict(
        {
            "prompt_ids": [PROMPT] * 2,
            "response_ids": [[BETTER, WORSE]] * 2,
            "scores": [[1.0, 0.0]] * 2,
        }
    )
    train_once(
        RankingTrainer(
            model=trial_scorer(),
            args=one_step(args),
            train_dataset=rows,
            eval_dataset=None if args.early_stopping_patience is None else rows,
            processing_class=trial_tokenizer(),
        )
    )
