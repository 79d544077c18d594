"""The reward stage of a recipe: ranked responses in, a reward model and its checks out."""

from pathlib import Path
from typing import Any

from datasets import Dataset
from peft import LoraConfig
from transformers import set_seed

from rlhf_compare.data.config import TaskConfig
from rlhf_compare.data.views import ranked_view
from rlhf_compare.errors import StageFailedError
from rlhf_compare.models.padding_token import padded_beside_eos
from rlhf_compare.models.scoring import OWN_TOKENIZER
from rlhf_compare.reward.backbone import NewRewardModel, new_reward_model
from rlhf_compare.reward.checks import Diagnosis
from rlhf_compare.reward.config import RewardModelConfig
from rlhf_compare.reward.evaluate import evaluate_reward_model
from rlhf_compare.reward.ranked import reencode, set_aside
from rlhf_compare.reward.trainer import EarlyStop, RankingTrainer
from rlhf_compare.runs.arguments import StageSection, build_arguments
from rlhf_compare.runs.context import StageContext
from rlhf_compare.runs.directory import RunDirectory
from rlhf_compare.runs.files import read_json, write_json

_DIAGNOSIS, _TRAINING = "doctor.json", "training.json"


def reward_arguments(section: StageSection, output_dir: str, seed: int) -> RewardModelConfig:
    """The trainer's arguments; the data layer has already cut to the maximum length."""
    stops_early = section.set_fields().get("early_stopping_patience") is not None
    args: RewardModelConfig = build_arguments(
        RewardModelConfig,
        section,
        "reward",
        output_dir,
        seed,
        max_length=None,
        **({"eval_strategy": "epoch"} if stops_early else {}),
    )
    return args


def train_reward(
    context: StageContext,
    section: StageSection,
    task: TaskConfig,
    sft_model: Path | None,
    lora: LoraConfig | None = None,
    judge: bool = False,
) -> None:
    """Train a reward model; save it and the results of its checks in the stage's directory.

    Args:
        sft_model: what it starts from unless ``reward.backbone`` says otherwise.
        judge: train the one that no policy is trained against, on the rows kept for it alone;
            without, on all rows that methods learn from.
    """
    args = reward_arguments(section, str(context.directory.path), context.seed)
    with context.meter.phase("load"):
        set_seed(context.seed)  # the head's weights are drawn here
        new = new_reward_model(args, context.data.tokenizer, sft_model, lora)
    with context.meter.phase("data"):
        rows = context.data.judge() if judge else context.data.train()
        validation = None
        callbacks = context.callbacks("accuracy")
        if args.early_stopping_patience is not None:
            rows, validation = set_aside(rows, args.validation_share)
            callbacks.append(EarlyStop(args.early_stopping_patience))
        train = _ranked(rows, new)
        trainer = RankingTrainer(
            model=new.model,
            args=args,
            train_dataset=train,
            eval_dataset=None if validation is None else _ranked(validation, new),
            processing_class=new.tokenizer,
            meter=context.meter,
            checkpoints=context.checkpoints,
            callbacks=callbacks,
        )
    trainer.train()
    context.learned("ranked rows", len(train), trainer.state.epoch, trainer.made)
    context.meter.count(trained=trainer.tokens_trained)
    with context.meter.phase("save"):
        _save(context, new)
        _write_training(context, trainer, train, callbacks[-1])
    with context.meter.phase("evaluate"):
        diagnosis = evaluate_reward_model(
            new.model,
            _ranked(context.data.eval(), new),
            new.tokenizer,
            task,
            args.per_device_eval_batch_size,
            sft_model=None if new.own_tokenizer else sft_model,
        )
        write_json(context.directory.path / _DIAGNOSIS, diagnosis.as_dict())


def _ranked(rows: Dataset, new: NewRewardModel) -> Dataset:
    """``prompt_ids``, ``response_ids`` and ``scores`` in the tokens that the model reads."""
    if new.own_tokenizer:
        return reencode(rows, new.tokenizer, new.max_length, new.policy_tokenizer)
    return ranked_view(rows)


def read_diagnosis(directory: RunDirectory) -> Diagnosis:
    """The checks that ran when the stage in ``directory`` ended."""
    return Diagnosis.from_dict(read_json(directory.path / _DIAGNOSIS))


def require_healthy(directory: RunDirectory, given: dict[str, Any], method: str) -> None:
    """Stop before a method trains against a reward model that failed its checks.

    Args:
        given: the fields that the recipe's ``reward:`` section sets.
        method: what would be trained against it.

    Raises:
        StageFailedError: names the checks and the field that allows it all the same.
    """
    failed = read_diagnosis(directory).failed
    if not failed or given.get("accept_failed_doctor", False):
        return
    found = "; ".join(f"{c.name} = {c.value:.3g} ({c.sentence})" for c in failed)
    raise StageFailedError(
        f"{method} not started: the reward model in {directory.path} failed {found}. "
        "Mend it, or set reward.accept_failed_doctor=true to go on"
    )


def _save(context: StageContext, new: NewRewardModel) -> None:
    """The model; its tokenizer beside it, or in a folder of its own where the policy's differs."""
    model = context.directory.model
    tokenizer = padded_beside_eos(new.tokenizer)  # so that plain transformers score batches
    pad = {"pad_token_id": tokenizer.pad_token_id} if tokenizer is not new.tokenizer else {}
    new.model.save_pretrained(model, **pad)
    tokenizer.save_pretrained(model / OWN_TOKENIZER if new.own_tokenizer else model)


def _write_training(
    context: StageContext, trainer: RankingTrainer, train: Dataset, last: object
) -> None:
    record = {
        "prompts": len(train),
        "responses": sum(map(len, train["scores"])),
        "forwards": trainer.forwards,
        "pairs": trainer.pairs,
        "ties": trainer.ties,
        "degenerate": trainer.made,
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "trained_parameters": sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
    }
    if isinstance(last, EarlyStop):
        record |= {"evaluations": last.history, "best_evaluation": last.best}
    write_json(context.directory.path / _TRAINING, record)
