"""TRL's DPOTrainer on our token ids.

TRL 1.16 tokenises prompt and completion as one string, which merges a trailing space of the prompt
into the completion and trains on a context that inference never sees. So the data arrive encoded.
"""

from pathlib import Path
from typing import Any

from datasets import Dataset
from peft import LoraConfig
from trl import DPOConfig, DPOTrainer

from rlhf_compare.data.views import dpo_view
from rlhf_compare.models.adapters import save_merged
from rlhf_compare.models.policy import load_policy
from rlhf_compare.models.tokenizer import load_tokenizer
from rlhf_compare.runs.arguments import StageSection, build_arguments
from rlhf_compare.runs.stage import StageContext
from rlhf_compare.runs.trainer import StageTrainer


class EncodedDPOTrainer(StageTrainer, DPOTrainer):
    """DPOTrainer that takes ``prompt_ids``, ``chosen_ids``, ``rejected_ids`` as they are."""

    def _prepare_dataset(self, dataset: Dataset, *_: Any, **__: Any) -> Dataset:
        return dataset

    def _precompute_ref_logps(self, *args: Any, **kwargs: Any) -> Dataset:
        with self.meter.phase("reference"):
            return super()._precompute_ref_logps(*args, **kwargs)


def dpo_arguments(section: StageSection, output_dir: str, seed: int) -> DPOConfig:
    """The trainer's arguments; reference log-probabilities are computed once unless told not to."""
    ours = {"max_length": None, "precompute_ref_log_probs": True}
    return build_arguments(DPOConfig, section, "dpo", output_dir, seed, **ours)


def train_dpo(
    context: StageContext, section: StageSection, sft_model: Path, lora: LoraConfig | None = None
) -> None:
    """Train the DPO policy from the SFT model and leave it in the stage's directory."""
    args = dpo_arguments(section, str(context.directory.path), context.seed)
    with context.meter.phase("load"):
        tokenizer = load_tokenizer(sft_model)
        policy = load_policy(sft_model)
        live = lora is None and not args.precompute_ref_log_probs
        reference = load_policy(sft_model) if live else None  # with adapters: the base, they off
    with context.meter.phase("data"):
        train = dpo_view(context.data.train())
        context.meter.count(trained=int(args.num_train_epochs * _tokens(train)))
        trainer = EncodedDPOTrainer(
            model=policy,
            ref_model=reference,
            args=args,
            train_dataset=train,
            processing_class=tokenizer,
            peft_config=lora,
            meter=context.meter,
            callbacks=context.callbacks("rewards/accuracies"),
        )
    trainer.train()
    with context.meter.phase("save"):
        if lora is None:
            policy.save_pretrained(context.directory.model)
        else:
            save_merged(trainer.model, context.directory.model)
        tokenizer.save_pretrained(context.directory.model)


def _tokens(pairs: Dataset) -> int:
    return sum(
        2 * len(row["prompt_ids"]) + len(row["chosen_ids"]) + len(row["rejected_ids"])
        for row in pairs
    )
