"""The GRPO stage of a recipe: SFT model and reward model in, policy out."""

from typing import Any

import torch
from transformers import set_seed

from rlhf_compare.data.views import prompt_view
from rlhf_compare.grpo.config import GRPOConfig, GRPOSection
from rlhf_compare.grpo.trainer import EncodedGRPOTrainer
from rlhf_compare.grpo.trial import try_step
from rlhf_compare.models.merging import save_trained
from rlhf_compare.models.policy import load_policy
from rlhf_compare.models.scoring import load_reward
from rlhf_compare.models.tokenizer import load_tokenizer
from rlhf_compare.runs.arguments import NO_INTERVAL, StageSection, build_arguments, refused_as
from rlhf_compare.runs.context import StageContext
from rlhf_compare.runs.method import Method, MethodInputs


def grpo_arguments(
    section: StageSection, output_dir: str, seed: int, evaluations: int = 0, name: str = "grpo"
) -> GRPOConfig:
    """The trainer's arguments; dropout is off, as in every method here.

    Args:
        evaluations: in the whole run; each samples one response to every prompt of the probe.
        name: of the section, for messages.
    """
    ours: dict[str, Any] = {"disable_dropout": True}
    if evaluations:
        ours |= {"eval_strategy": "steps", "eval_steps": NO_INTERVAL, "num_generations_eval": 1}
    return build_arguments(GRPOConfig, section, name, output_dir, seed, **ours)


def train_grpo(context: StageContext, section: StageSection, inputs: MethodInputs) -> None:
    """Train the GRPO policy from the SFT model and leave it in the stage's directory."""
    args = grpo_arguments(
        section, str(context.directory.path), context.seed, inputs.evaluations, context.name
    )
    with context.meter.phase("data"):
        prompts, asked = (
            part.select_columns(["prompt_ids"]).rename_column("prompt_ids", "prompt")
            for part in (prompt_view(inputs.rows, "prompts"), inputs.probe_prompts)
        )
    with context.meter.phase("load"):
        set_seed(context.seed)
        tokenizer = load_tokenizer(inputs.sft_model)
        policy = load_policy(inputs.sft_model)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        reward = load_reward(inputs.reward, inputs.sft_model, device)
        trainer = refused_as(context.name, EncodedGRPOTrainer)(
            policy,
            reward,
            args,
            train_dataset=prompts,
            eval_dataset=asked if len(asked) else None,
            processing_class=tokenizer,
            peft_config=inputs.lora,
            meter=context.meter,
            checkpoints=context.checkpoints,
            probe=inputs.probe,
            callbacks=context.callbacks("reward", inputs.evaluations),
        )
    trainer.train()
    context.learned("prompts", len(prompts), trainer.state.epoch)
    with context.meter.phase("save"):
        trained = policy if inputs.lora is None else trainer.model
        save_trained(trained, context.directory.model, tokenizer, adapted=inputs.lora is not None)


def _check_rows(args: GRPOConfig, prompts: int) -> None:
    """TRL leaves out what does not fill a batch: of too few prompts, all."""
    needed = args.generation_batch_size // args.num_generations
    if prompts < needed:
        raise ValueError(
            f"one round of generation is {args.generation_batch_size} responses, "
            f"{args.num_generations} (num_generations) to each of {needed} prompts, and there are "
            f"{prompts}; lower per_device_train_batch_size or gradient_accumulation_steps, or "
            "raise num_generations"
        )


def _label(section: StageSection) -> str:
    """TRL's GRPOTrainer has many losses, and GRPO's own (Shao et al. 2024) is not its default."""
    loss = section.value("loss_type")
    changed = [] if loss == "grpo" else [f"{loss.replace('_', ' ')} loss"]
    if section.value("importance_sampling_level") == "sequence":
        changed.append("sequence ratios")
    if section.value("beta") == 0:
        changed.append("no KL penalty")
    return f"GRPO ({', '.join(changed)})" if changed else "GRPO"


METHOD = Method(
    name="grpo",
    section=GRPOSection,
    needs=("sft", "reward"),
    feed="prompts",
    arguments=grpo_arguments,
    train=train_grpo,
    try_step=try_step,
    check_rows=_check_rows,
    samples="max_completion_length",
    label=_label,
    reads_head=True,
)
