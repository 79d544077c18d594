"""The DPO stage of a recipe: SFT model and pairs in, policy out."""

from pathlib import Path
from typing import Any

from datasets import Dataset
from peft import LoraConfig

from rlhf_compare.dpo.config import DPOConfig
from rlhf_compare.dpo.reference import ReferenceCache, hash_weights
from rlhf_compare.dpo.trainer import EncodedDPOTrainer
from rlhf_compare.models.adapters import save_merged
from rlhf_compare.models.policy import fuse_activations, load_policy
from rlhf_compare.models.tokenizer import load_tokenizer
from rlhf_compare.runs.arguments import NO_INTERVAL, StageSection, build_arguments, refused_as
from rlhf_compare.runs.context import Probe, StageContext


def dpo_arguments(
    section: StageSection, output_dir: str, seed: int, evaluations: int = 0, name: str = "dpo"
) -> DPOConfig:
    """The trainer's arguments; reference log-probabilities are computed once unless told not to.

    Args:
        evaluations: in the whole run.
        name: of the section, for messages.
    """
    ours: dict[str, Any] = {
        "max_length": None,
        "precompute_ref_log_probs": True,
        "train_sampling_strategy": "group_by_length",
    }
    if evaluations:
        ours |= {"eval_strategy": "steps", "eval_steps": NO_INTERVAL}
    return build_arguments(DPOConfig, section, name, output_dir, seed, **ours)


def train_dpo(
    context: StageContext,
    section: StageSection,
    sft_model: Path,
    train: Dataset,
    held_out: Dataset | None = None,
    probe: Probe | None = None,
    evaluations: int = 0,
    lora: LoraConfig | None = None,
) -> None:
    """Train the DPO policy from the SFT model and leave it in the stage's directory.

    Args:
        train, held_out: pairs: ``prompt_ids``, ``chosen_ids``, ``rejected_ids``; the second are
            what evaluations in between are made on.
        probe: see :class:`StageTrainer`.
        evaluations: in the whole run; 0 = none.
    """
    args = dpo_arguments(section, str(context.directory.path), context.seed, evaluations)
    with context.meter.phase("load"):
        tokenizer = load_tokenizer(sft_model)
        policy = load_policy(sft_model)
        live = lora is None and not args.precompute_ref_log_probs
        reference = load_policy(sft_model) if live else None  # with adapters: the base, they off
        for model in (policy, reference):
            if model is not None:
                fuse_activations(model)
    with context.meter.phase("data"):
        trainer = refused_as("dpo", EncodedDPOTrainer)(
            model=policy,
            ref_model=reference,
            args=args,
            train_dataset=train,
            eval_dataset=held_out,
            processing_class=tokenizer,
            peft_config=lora,
            meter=context.meter,
            checkpoints=context.checkpoints,
            probe=probe,
            callbacks=context.callbacks("rewards/accuracies", evaluations),
            reference_cache=ReferenceCache(context.cache, hash_weights(sft_model)),
        )
    trainer.train()
    with context.meter.phase("save"):
        if lora is None:
            policy.save_pretrained(context.directory.model)
        else:
            save_merged(trainer.model, context.directory.model)
        tokenizer.save_pretrained(context.directory.model)
