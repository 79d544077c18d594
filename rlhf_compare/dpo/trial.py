"""Builds DPO's trainer on a model of a few weights, so that a refusal is known before the run."""

from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig

from rlhf_compare.dpo.reference import CachedLogps, with_logps
from rlhf_compare.dpo.trainer import EncodedDPOTrainer
from rlhf_compare.runs.trial import (
    BETTER,
    PROMPT,
    WORSE,
    no_probe,
    one_step,
    train_once,
    trial_policy,
    trial_tokenizer,
)


class _WithoutReference(EncodedDPOTrainer):
    """The reference's log-probabilities are zeros, so none are computed and no bar is shown."""

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:
        zeros = torch.zeros(len(dataset))
        return with_logps(dataset, CachedLogps(zeros, zeros, 0.0))


def try_step(args: Any, lora: LoraConfig | None) -> None:
    """One step; raises what the trainer raises."""
    columns = {"prompt_ids": PROMPT, "chosen_ids": BETTER, "rejected_ids": WORSE}
    rows = Dataset.from_dict({name: [ids] * 2 for name, ids in columns.items()})
    live = lora is None and not args.precompute_ref_log_probs
    train_once(
        _WithoutReference(
            model=trial_policy(),
            ref_model=trial_policy() if live else None,
            args=one_step(args),
            train_dataset=rows,
            eval_dataset=rows,
            processing_class=trial_tokenizer(),
            peft_config=lora,
            probe=no_probe,
        )
    )
