"""Builds PPO's trainer on a model of a few weights, so that a refusal is known before the run."""

from typing import Any

from datasets import Dataset
from peft import LoraConfig

from rlhf_compare.models.adapters import AdapterSwitch
from rlhf_compare.ppo.trainer import PPOTrainer
from rlhf_compare.runs.trial import PROMPT, no_probe, trial_policy, trial_scorer, trial_tokenizer


def try_step(args: Any, lora: LoraConfig | None) -> None:
    """Build the trainer; raises what it raises."""
    rollout = args.per_device_train_batch_size * args.gradient_accumulation_steps
    prompts = Dataset.from_dict({"input_ids": [PROMPT] * rollout * args.world_size})
    length = len(PROMPT) + args.response_length
    policy: Any = trial_policy(length)
    PPOTrainer(
        args=args,
        processing_class=trial_tokenizer(),
        model=policy if lora is None else AdapterSwitch.on(policy, lora).model,
        ref_model=trial_policy(length) if lora is None else None,
        reward_model=trial_scorer(length),
        train_dataset=prompts,
        eval_dataset=prompts.select(range(1)),
        probe=no_probe,
    )
