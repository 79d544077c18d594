"""The baseline stage of a recipe: SFT model and pairs in, a policy that imitates the chosen side.

What it reaches needs no rejected response; what a preference method reaches beyond it does.
"""

from typing import Any

from datasets import Dataset
from transformers import set_seed

from rlhf_compare.data.config import PairRule
from rlhf_compare.data.views import pairs_view
from rlhf_compare.models.merging import save_trained
from rlhf_compare.models.policy import disable_dropout, fuse_activations, load_policy
from rlhf_compare.models.tokenizer import load_tokenizer
from rlhf_compare.runs.arguments import NO_INTERVAL, StageSection, build_arguments, refused_as
from rlhf_compare.runs.context import StageContext
from rlhf_compare.runs.imitation import MeteredSFTTrainer
from rlhf_compare.runs.method import Method, MethodInputs
from rlhf_compare.sft_on_chosen.config import SFTOnChosenConfig, SFTOnChosenSection
from rlhf_compare.sft_on_chosen.trial import try_step


def sft_on_chosen_arguments(
    section: StageSection,
    output_dir: str,
    seed: int,
    evaluations: int = 0,
    name: str = "sft_on_chosen",
) -> SFTOnChosenConfig:
    """The trainer's arguments; batches hold rows of like length, as DPO's.

    Args:
        evaluations: in the whole run.
        name: of the section, for messages.
    """
    ours: dict[str, Any] = {
        "completion_only_loss": True,
        "max_length": None,
        "train_sampling_strategy": "group_by_length",
    }
    if evaluations:
        ours |= {"eval_strategy": "steps", "eval_steps": NO_INTERVAL}
    return build_arguments(SFTOnChosenConfig, section, name, output_dir, seed, **ours)


def chosen_view(rows: Dataset, rule: PairRule) -> Dataset:
    """``input_ids`` and ``completion_mask`` (1 on the response, EOS included) of the chosen side of
    every pair: as many rows, in the same order, as DPO has pairs."""

    def columns(pair: dict[str, list[int]]) -> dict[str, list[int]]:
        prompt, chosen = pair["prompt_ids"], pair["chosen_ids"]
        mask = [0] * len(prompt) + [1] * len(chosen)
        return {"input_ids": prompt + chosen, "completion_mask": mask}

    pairs = pairs_view(rows, rule)
    return pairs.map(columns, remove_columns=pairs.column_names)


def train_sft_on_chosen(context: StageContext, section: StageSection, inputs: MethodInputs) -> None:
    """Train the baseline from the SFT model and leave it in the stage's directory.

    Evaluations during training use the chosen side of the pairs of the probe's prompts; without
    such pairs there are none.
    """
    with context.meter.phase("evaluate"):
        asked = _chosen_of(inputs.probe_rows, inputs.pairs)
    with context.meter.phase("data"):
        train = chosen_view(inputs.rows, inputs.pairs)
    evaluations = inputs.evaluations if asked is not None else 0
    args = sft_on_chosen_arguments(
        section, str(context.directory.path), context.seed, evaluations, context.name
    )
    with context.meter.phase("load"):
        set_seed(context.seed)
        tokenizer = load_tokenizer(inputs.sft_model)
        policy = load_policy(inputs.sft_model)
        disable_dropout(policy)  # as in every method here
        fuse_activations(policy)
    with context.meter.phase("data"):
        trainer = refused_as(context.name, MeteredSFTTrainer)(
            model=policy,
            args=args,
            train_dataset=train,
            eval_dataset=asked,
            processing_class=tokenizer,
            peft_config=inputs.lora,
            meter=context.meter,
            checkpoints=context.checkpoints,
            probe=inputs.probe,
            callbacks=context.callbacks("loss", evaluations),
        )
    trainer.train()
    context.learned("chosen responses", len(train), trainer.state.epoch)
    with context.meter.phase("save"):
        trained = policy if inputs.lora is None else trainer.model
        save_trained(trained, context.directory.model, tokenizer, adapted=inputs.lora is not None)


def _chosen_of(rows: Dataset, rule: PairRule) -> Dataset | None:
    """The chosen side of these rows' pairs; None where there is none."""
    ranked = rows.filter(lambda feeds: "rankings" in feeds, input_columns=["feeds"])
    return chosen_view(ranked, rule) if len(ranked) else None


def _label(section: StageSection) -> str:
    loss = section.value("loss_type")
    return "SFT on chosen" if loss in (None, "nll") else f"SFT on chosen ({loss} loss)"


METHOD = Method(
    name="sft_on_chosen",
    section=SFTOnChosenSection,
    needs=("sft",),
    feed="rankings",
    arguments=sft_on_chosen_arguments,
    train=train_sft_on_chosen,
    try_step=try_step,
    label=_label,
    baseline=True,
)
