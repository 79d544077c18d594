"""The PPO stage of a recipe: SFT model and reward model in, policy out."""

from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import set_seed

from rlhf_compare.models.adapters import REWARD, Hats, load_reward_adapter, save_merged
from rlhf_compare.models.policy import load_policy
from rlhf_compare.models.scoring import load_reward
from rlhf_compare.models.tokenizer import load_tokenizer
from rlhf_compare.ppo.config import PPOConfig
from rlhf_compare.ppo.trainer import PPOTrainer
from rlhf_compare.runs.arguments import NO_INTERVAL, StageSection, build_arguments, refused_as
from rlhf_compare.runs.context import Probe, StageContext


def ppo_arguments(
    section: StageSection, output_dir: str, seed: int, evaluations: int = 0, name: str = "ppo"
) -> PPOConfig:
    """The trainer's arguments.

    Args:
        evaluations: in the whole run.
        name: of the section, for messages.
    """
    ours = {"eval_strategy": "steps", "eval_steps": NO_INTERVAL} if evaluations else {}
    return build_arguments(PPOConfig, section, name, output_dir, seed, **ours)


def train_ppo(
    context: StageContext,
    section: StageSection,
    sft_model: Path,
    reward_model: Path,
    prompts: Dataset,
    held_out: Dataset | None = None,
    probe: Probe | None = None,
    evaluations: int = 0,
    lora: LoraConfig | None = None,
) -> None:
    """Train the PPO policy from the SFT model and leave it in the stage's directory.

    Args:
        prompts, held_out: column ``prompt_ids``; the second are what evaluations in between sample
            responses to.
        probe: see :class:`StageTrainer`.
        evaluations: in the whole run; 0 = none.
    """
    args = ppo_arguments(section, str(context.directory.path), context.seed, evaluations)
    with context.meter.phase("load"):
        set_seed(context.seed)
        tokenizer = load_tokenizer(sft_model)
        policy: Any = load_policy(sft_model)
        reference = None
        reward: Any = None
        if lora is None:
            reference = load_policy(sft_model)
        else:  # one base in memory: policy, critic, reward model and reference
            hats = refused_as("model.lora", Hats.on)(policy, lora)
            policy = hats.model
            if (reward_model / REWARD).is_dir():
                reward = load_reward_adapter(hats, reward_model)
        if reward is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
            reward = load_reward(reward_model, sft_model, device)
    with context.meter.phase("data"):
        train, asked = (
            part and part.rename_column("prompt_ids", "input_ids") for part in (prompts, held_out)
        )
        trainer = refused_as("ppo", PPOTrainer)(
            args=args,
            processing_class=tokenizer,
            model=policy,
            ref_model=reference,
            reward_model=reward,
            train_dataset=train,
            eval_dataset=asked,
            meter=context.meter,
            checkpoints=context.checkpoints,
            probe=probe,
            callbacks=context.callbacks("objective/scores", evaluations),
        )
    trainer.train()
    with context.meter.phase("save"):
        if lora is None:
            policy.save_pretrained(context.directory.model)
        else:
            save_merged(policy, context.directory.model)
        tokenizer.save_pretrained(context.directory.model)
