"""The PPO stage of a recipe: SFT model and reward model in, policy out."""

from typing import Any

import torch
from transformers import set_seed

from rlhf_compare.data.views import prompt_view
from rlhf_compare.models.adapters import REWARD, AdapterSwitch, load_reward_adapter
from rlhf_compare.models.merging import save_trained
from rlhf_compare.models.policy import load_policy
from rlhf_compare.models.scoring import load_reward
from rlhf_compare.models.tokenizer import load_tokenizer
from rlhf_compare.ppo.config import PPOConfig, PPOSection
from rlhf_compare.ppo.setup import require_one_rollout
from rlhf_compare.ppo.trainer import PPOTrainer
from rlhf_compare.ppo.trial import try_step
from rlhf_compare.runs.arguments import NO_INTERVAL, StageSection, build_arguments, refused_as
from rlhf_compare.runs.context import StageContext
from rlhf_compare.runs.method import Method, MethodInputs


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


def train_ppo(context: StageContext, section: StageSection, inputs: MethodInputs) -> None:
    """Train the PPO policy from the SFT model and leave it in the stage's directory.

    Evaluations in between sample responses to the probe's prompts.
    """
    args = ppo_arguments(
        section, str(context.directory.path), context.seed, inputs.evaluations, context.name
    )
    with context.meter.phase("data"):
        prompts, asked = (
            part.select_columns(["prompt_ids"]).rename_column("prompt_ids", "input_ids")
            for part in (prompt_view(inputs.rows, "prompts"), inputs.probe_prompts)
        )
    with context.meter.phase("load"):
        set_seed(context.seed)
        tokenizer = load_tokenizer(inputs.sft_model)
        policy, reference, reward = _models(inputs)
    with context.meter.phase("data"):
        trainer = refused_as(context.name, PPOTrainer)(
            args=args,
            processing_class=tokenizer,
            model=policy,
            ref_model=reference,
            reward_model=reward,
            train_dataset=prompts,
            eval_dataset=asked if len(asked) else None,
            meter=context.meter,
            checkpoints=context.checkpoints,
            probe=inputs.probe,
            callbacks=context.callbacks("objective/scores", inputs.evaluations),
        )
    trainer.train()
    episodes = trainer.state.global_step * args.episodes_per_process * args.world_size
    context.learned("prompts", len(prompts), episodes / len(prompts))
    with context.meter.phase("save"):
        save_trained(policy, context.directory.model, tokenizer, adapted=inputs.lora is not None)


def _models(inputs: MethodInputs) -> tuple[Any, Any, Any]:
    """Policy, reference and reward model; with adapters one base in memory is all of them."""
    policy: Any = load_policy(inputs.sft_model)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if inputs.lora is None:
        reference = load_policy(inputs.sft_model)
        return policy, reference, load_reward(inputs.reward, inputs.sft_model, device)
    adapters = refused_as("model.lora", AdapterSwitch.on)(policy, inputs.lora)
    if (inputs.reward / REWARD).is_dir():
        return adapters.model, None, load_reward_adapter(adapters, inputs.reward)
    return adapters.model, None, load_reward(inputs.reward, inputs.sft_model, device)


def _check_rows(args: PPOConfig, prompts: int) -> None:
    require_one_rollout(prompts, args)


def _label(section: StageSection) -> str:
    """PPO with what changes its objective: the penalty's estimator, its absence, its reference."""
    changed = []
    if section.value("kl_coef") == 0 and section.value("kl_target") is None:
        changed.append("no KL penalty")
    elif section.value("kl_estimator") != "k1":
        changed.append(f"{section.value('kl_estimator')} penalty")
    if section.value("reference_ema") is not None:
        changed.append("moving reference")
    return ", ".join(["PPO", *changed])


METHOD = Method(
    name="ppo",
    section=PPOSection,
    needs=("sft", "reward"),
    feed="prompts",
    arguments=ppo_arguments,
    train=train_ppo,
    try_step=try_step,
    check_rows=_check_rows,
    samples="response_length",
    label=_label,
)
