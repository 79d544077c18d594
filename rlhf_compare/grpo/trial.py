"""GRPO's trainer, built on a model of a few weights: what it refuses is known before the run."""

from pathlib import Path
from typing import Any

from datasets import Dataset
from peft import LoraConfig

from rlhf_compare.grpo.trainer import EncodedGRPOTrainer
from rlhf_compare.models.policy import load_policy
from rlhf_compare.runs.trial import (
    PROMPT,
    no_probe,
    one_step,
    train_once,
    trial_policy,
    trial_scorer,
    trial_tokenizer,
)

_TOKENS = 4  # of a response


def try_step(args: Any, lora: LoraConfig | None) -> None:
    """One step; raises what the trainer raises."""
    args.max_completion_length = _TOKENS
    prompts = args.generation_batch_size // args.num_generations
    rows = Dataset.from_dict({"prompt": [PROMPT] * prompts * args.world_size})
    saved = Path(args.output_dir) / "sft"  # TRL loads the reference from where the policy lies
    trial_policy().save_pretrained(saved)
    train_once(
        EncodedGRPOTrainer(
            load_policy(saved),
            trial_scorer(),
            one_step(args),
            train_dataset=rows,
            eval_dataset=rows,
            processing_class=trial_tokenizer(),
            peft_config=lora,
            probe=no_probe,
        )
    )
