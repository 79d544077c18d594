"""The DPO stage of a recipe: SFT model and pairs in, policy out."""

from collections.abc import Sequence
from typing import Any

from datasets import Dataset

from rlhf_compare.data.config import PairRule
from rlhf_compare.data.views import pairs_view
from rlhf_compare.dpo.config import DPOConfig, DPOSection
from rlhf_compare.dpo.losses import label
from rlhf_compare.dpo.reference import ReferenceCache, hash_weights
from rlhf_compare.dpo.trainer import EncodedDPOTrainer
from rlhf_compare.dpo.trial import try_step
from rlhf_compare.models.merging import save_trained
from rlhf_compare.models.policy import fuse_activations, load_policy
from rlhf_compare.models.tokenizer import load_tokenizer
from rlhf_compare.runs.arguments import NO_INTERVAL, StageSection, build_arguments, refused_as
from rlhf_compare.runs.context import StageContext
from rlhf_compare.runs.method import Method, MethodInputs


def dpo_arguments(
    section: StageSection, output_dir: str, seed: int, evaluations: int = 0, name: str = "dpo"
) -> DPOConfig:
    """The trainer's arguments; reference log-probabilities are computed once, unless the recipe
    says otherwise.

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


def train_dpo(context: StageContext, section: StageSection, inputs: MethodInputs) -> None:
    """Train the DPO policy from the SFT model and leave it in the stage's directory.

    Evaluations during training use the pairs of the probe's prompts; without such pairs there are
    none.
    """
    with context.meter.phase("evaluate"):
        asked = _pairs_of(inputs.probe_rows, inputs.pairs)
    with context.meter.phase("data"):
        train = pairs_view(inputs.rows, inputs.pairs)
    evaluations = inputs.evaluations if asked is not None else 0
    args = dpo_arguments(
        section, str(context.directory.path), context.seed, evaluations, context.name
    )
    with context.meter.phase("load"):
        tokenizer = load_tokenizer(inputs.sft_model)
        policy = load_policy(inputs.sft_model)
        live = inputs.lora is None and not args.precompute_ref_log_probs
        # with adapters the reference is the base with its adapters off
        reference = load_policy(inputs.sft_model) if live else None
        for model in (policy, reference):
            if model is not None:
                fuse_activations(model)
    with context.meter.phase("data"):
        trainer = refused_as(context.name, EncodedDPOTrainer)(
            model=policy,
            ref_model=reference,
            args=args,
            train_dataset=train,
            eval_dataset=asked,
            processing_class=tokenizer,
            peft_config=inputs.lora,
            meter=context.meter,
            checkpoints=context.checkpoints,
            probe=inputs.probe,
            callbacks=context.callbacks("rewards/accuracies", evaluations),
            reference_cache=ReferenceCache(context.cache, hash_weights(inputs.sft_model)),
        )
    trainer.train()
    context.learned("pairs", len(train), trainer.state.epoch)
    with context.meter.phase("save"):
        trained = policy if inputs.lora is None else trainer.model
        save_trained(trained, context.directory.model, tokenizer, adapted=inputs.lora is not None)


def _pairs_of(rows: Dataset, rule: PairRule) -> Dataset | None:
    """The pairs of these rows; None where there is none."""
    ranked = rows.filter(lambda feeds: "rankings" in feeds, input_columns=["feeds"])
    return pairs_view(ranked, rule) if len(ranked) else None


def _caveats(settings: dict[str, Any]) -> Sequence[str]:
    """TRL's DPOTrainer has many losses: the column DPO may show a policy of another loss."""
    losses, weights = settings.get("loss_type"), settings.get("loss_weights")
    losses = [losses] if isinstance(losses, str) else losses
    if not losses or losses == ["sigmoid"]:
        return ()
    if isinstance(weights, list) and len(weights) == len(losses):
        losses = [f"{loss} (weight {w})" for loss, w in zip(losses, weights, strict=True)]
    return (
        f"was trained with the loss {' + '.join(map(str, losses))}, not with DPO's own (sigmoid) "
        "alone: read its column as that loss.",
    )


METHOD = Method(
    name="dpo",
    section=DPOSection,
    needs=("sft",),
    feed="rankings",
    arguments=dpo_arguments,
    train=train_dpo,
    try_step=try_step,
    reads_head=True,
    label=label,
    caveats=_caveats,
)
