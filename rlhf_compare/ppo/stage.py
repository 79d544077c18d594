"""The PPO stage of a recipe: SFT model and reward model in, policy out."""

from pathlib import Path

from transformers import set_seed

from rlhf_compare.data.views import prompt_view
from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.models.policy import load_policy
from rlhf_compare.models.tokenizer import load_tokenizer
from rlhf_compare.ppo.config import PPOConfig
from rlhf_compare.ppo.trainer import PPOTrainer
from rlhf_compare.runs.arguments import StageSection, build_arguments
from rlhf_compare.runs.stage import StageContext


def ppo_arguments(section: StageSection, output_dir: str, seed: int) -> PPOConfig:
    """The trainer's arguments."""
    return build_arguments(PPOConfig, section, "ppo", output_dir, seed)


def train_ppo(
    context: StageContext, section: StageSection, sft_model: Path, reward_model: Path
) -> None:
    """Train the PPO policy from the SFT model and leave it in the stage's directory."""
    args = ppo_arguments(section, str(context.directory.path), context.seed)
    with context.meter.phase("load"):
        set_seed(context.seed)
        tokenizer = load_tokenizer(sft_model)
        policy, reference = load_policy(sft_model), load_policy(sft_model)
        reward = ScalarHeadModel.from_pretrained(reward_model)
    with context.meter.phase("data"):
        prompts = prompt_view(context.data.train()).rename_column("prompt_ids", "input_ids")
        trainer = PPOTrainer(
            args=args,
            processing_class=tokenizer,
            model=policy,
            ref_model=reference,
            reward_model=reward,
            train_dataset=prompts,
            meter=context.meter,
            callbacks=context.callbacks("objective/scores"),
        )
    trainer.train()
    with context.meter.phase("save"):
        policy.save_pretrained(context.directory.model)
        tokenizer.save_pretrained(context.directory.model)
