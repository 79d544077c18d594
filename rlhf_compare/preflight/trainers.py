"""What a stage's settings lead to, tried on one weight: optimizer, schedule, loader, loss."""

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments, get_scheduler
from transformers.utils import is_liger_kernel_available

from rlhf_compare.errors import first_line
from rlhf_compare.runs.arguments import StageSection


def trainer_faults(stage: str, section: StageSection, args: TrainingArguments) -> list[str]:
    """Why a trainer under these arguments would fail later; empty if nothing is known to.

    Args:
        stage: names the section in the messages.
        section: what the recipe gives.
        args: what the trainer would be built with.
    """
    tried: dict[str, Callable[[TrainingArguments], Any]] = {
        "optim": _optimizer,
        "lr_scheduler_type": _schedule,
        "dataloader_num_workers": _loader,
    }
    faults = []
    for field, build in tried.items():
        try:
            build(args)
        except Exception as error:  # every library refuses in its own way
            shown = _spoken_of(section, error) or field
            value = getattr(args, shown)
            value = getattr(value, "value", value)
            why = first_line(error) or type(error).__name__
            faults.append(f"{stage}.{shown}: {value!r} is refused: {why}")
    return faults + [f"{stage}.{fault}" for fault in _machine_faults(args) + _loss_faults(args)]


def _spoken_of(section: StageSection, error: BaseException) -> str | None:
    """The recipe's own field that a message names."""
    text = str(error)
    named = [name for name in section.set_fields() if len(name) > 5 and name in text]
    return named[0] if named else None


def _weight() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.zeros(2, 2))


def _optimizer(args: TrainingArguments) -> None:
    kind, options = Trainer.get_optimizer_cls_and_kwargs(args)
    if kind.__module__.startswith("torch.optim"):  # others want a model, or a GPU
        kind([_weight()], **options)


def _schedule(args: TrainingArguments) -> None:
    get_scheduler(
        args.lr_scheduler_type,
        optimizer=torch.optim.SGD([_weight()], lr=args.learning_rate),
        num_warmup_steps=args.get_warmup_steps(10),
        num_training_steps=10,
        scheduler_specific_kwargs=args.lr_scheduler_kwargs,
    )


def _loader(args: TrainingArguments) -> None:
    DataLoader(
        [0],  # type: ignore[arg-type]
        num_workers=args.dataloader_num_workers,
        prefetch_factor=args.dataloader_prefetch_factor,
        persistent_workers=args.dataloader_persistent_workers,
    )


def _machine_faults(args: TrainingArguments) -> list[str]:
    """Settings that this machine cannot run."""
    faults = []
    gpu = torch.cuda.is_available()
    if args.fp16 and not gpu:
        faults.append("fp16: true needs a GPU, and this machine has none; leave it out")
    if args.bf16 and gpu and not torch.cuda.is_bf16_supported():
        faults.append("bf16: true is more than this GPU can; leave it out")
    if getattr(args, "use_liger_kernel", False) and not is_liger_kernel_available():
        faults.append("use_liger_kernel: true needs the package liger-kernel; leave it out")
    return faults


def _loss_faults(args: Any) -> list[str]:
    """Losses of DPO that TRL's trainer refuses when it is built, or at its first step."""
    losses = getattr(args, "loss_type", None)
    if not isinstance(losses, list):
        return []
    known = _losses_of(type(args))
    faults = [
        f"loss_type: {name!r} is none of {', '.join(known)}"
        for name in losses
        if known and name not in known
    ]
    if "robust" in losses and not 0 <= args.label_smoothing < 0.5:
        faults.append(f"label_smoothing: {args.label_smoothing}: robust needs 0 to below 0.5")
    if "exo_pair" in losses and args.label_smoothing == 0:
        faults.append("label_smoothing: 0.0: exo_pair needs it above 0, for instance 0.001")
    return faults


def _losses_of(config_class: type) -> list[str]:
    """The names that TRL lists where it explains the field: it has no other list."""
    for field in dataclasses.fields(config_class):
        if field.name == "loss_type":
            return re.findall(r"`'(\w+)'`", field.metadata.get("help", ""))
    return []
