"""TRL's RewardTrainer on a head that finds the last token by mask.

The loss is TRL's, -log sigmoid(r(x, y_w) - r(x, y_l)): the case K = 2 of the loss over K ranked
responses (Ouyang et al. 2022, equation 1).
"""

from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import set_seed
from trl import RewardConfig, RewardTrainer

from rlhf_compare.data.views import reward_view
from rlhf_compare.models.adapters import new_reward_adapter
from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.models.policy import load_policy
from rlhf_compare.models.tokenizer import load_tokenizer
from rlhf_compare.runs.arguments import StageSection, build_arguments
from rlhf_compare.runs.directory import write_json
from rlhf_compare.runs.stage import StageContext
from rlhf_compare.runs.trainer import StageTrainer
from rlhf_compare.tensors.padding import pad_sequences


class ScalarHeadRewardTrainer(StageTrainer, RewardTrainer):
    """RewardTrainer for a :class:`ScalarHeadModel`."""


def reward_arguments(section: StageSection, output_dir: str, seed: int) -> RewardConfig:
    """The trainer's arguments; the data layer has already cut to the maximum length."""
    return build_arguments(RewardConfig, section, "reward", output_dir, seed, max_length=None)


def train_reward(
    context: StageContext, section: StageSection, sft_model: Path, lora: LoraConfig | None = None
) -> None:
    """Train a reward model and leave it, with its held-out accuracy, in the stage's directory."""
    args = reward_arguments(section, str(context.directory.path), context.seed)
    with context.meter.phase("load"):
        tokenizer = load_tokenizer(sft_model)
        set_seed(context.seed)  # the head's weights are drawn here
        if lora is None:
            model = ScalarHeadModel.on_backbone_of(sft_model)
        else:
            model = new_reward_adapter(load_policy(sft_model), lora)
    with context.meter.phase("data"):
        train = reward_view(context.data.train())
        tokens = sum(len(row["chosen_ids"]) + len(row["rejected_ids"]) for row in train)
        context.meter.count(trained=int(args.num_train_epochs * tokens))
        trainer = ScalarHeadRewardTrainer(
            model=model,
            args=args,
            train_dataset=train,
            processing_class=tokenizer,
            meter=context.meter,
            callbacks=context.callbacks("accuracy"),
        )
    trainer.train()
    with context.meter.phase("evaluate"):
        held_out = reward_view(context.data.eval())
        accuracy = pair_accuracy(model, held_out, args.per_device_eval_batch_size)
        write_json(
            context.directory.path / "accuracy.json", {"held_out": accuracy, "n": len(held_out)}
        )
    with context.meter.phase("save"):
        model.save_pretrained(context.directory.model)
        tokenizer.save_pretrained(context.directory.model)


@torch.no_grad()
def pair_accuracy(model: ScalarHeadModel, pairs: Dataset, batch_size: int) -> float:
    """Share of pairs whose chosen side scores strictly higher."""
    model.eval()
    device = model.head.weight.device
    right = 0
    for start in range(0, len(pairs), batch_size):
        batch = pairs[start : start + batch_size]
        chosen, rejected = (
            model.scores(*(t.to(device) for t in pad_sequences(batch[side], 0, "right")))
            for side in ("chosen_ids", "rejected_ids")
        )
        right += int((chosen > rejected).sum())
    return right / len(pairs)
