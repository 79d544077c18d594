"""The name that was meant: a near one, or the one that others call so."""

import difflib
from collections.abc import Iterable

_NEAR = 0.6  # of difflib's ratio; below it a guess helps nobody

# what other libraries and papers call a field, where our name is not near
_FIELDS = {
    "lr": ("learning_rate",),
    "epochs": ("num_train_epochs",),
    "num_epochs": ("num_train_epochs", "num_ppo_epochs"),
    "ppo_epochs": ("num_ppo_epochs",),
    "steps": ("max_steps",),
    "batch_size": ("per_device_train_batch_size",),
    "train_batch_size": ("per_device_train_batch_size",),
    "eval_batch_size": ("per_device_eval_batch_size",),
    "mini_batch_size": ("num_mini_batches", "per_device_train_batch_size"),
    "grad_accum": ("gradient_accumulation_steps",),
    "accumulation_steps": ("gradient_accumulation_steps",),
    "warmup": ("warmup_steps",),
    "scheduler": ("lr_scheduler_type",),
    "optimizer": ("optim",),
    "clip_grad": ("max_grad_norm",),
    "loss": ("loss_type",),
    "beta": ("kl_coef", "beta"),
    "kl_coef": ("beta",),
    "kl_coeff": ("kl_coef", "beta"),
    "init_kl_coef": ("kl_coef",),
    "kl": ("kl_coef", "beta"),
    "lambda": ("lam",),
    "gae_lambda": ("lam",),
    "discount": ("gamma",),
    "clip_range": ("cliprange",),
    "cliprange_ratio": ("cliprange",),
    "max_new_tokens": ("response_length", "max_new_tokens"),
    "max_prompt_len": ("max_prompt_length",),
    "dataset": ("source", "hub_id"),
    "file": ("path",),
    "name": ("hub_id", "project"),
    "entity": ("entity",),
    "lora_r": ("lora",),
    "peft": ("lora",),
    "mode": ("wandb",),
}
_SECTIONS = {
    "wandb": "tracking",
    "tracker": "tracking",
    "logging": "tracking",
    "rm": "reward",
    "reward_model": "reward",
    "eval": "evaluation",
    "dataset": "data",
    "lr": "sft.learning_rate",
    "learning_rate": "sft.learning_rate",
    "epochs": "sft.num_train_epochs",
    "beta": "dpo.beta",
    "kl_coef": "ppo.kl_coef",
    "lora": "model.lora",
    "peft": "model.lora",
    "template": "task.template",
    "prompt_template": "task.template",
    "seeds": "seed",
}


def did_you_mean(location: tuple[str, ...], known: Iterable[str]) -> str:
    """``; did you mean X?``, or nothing where no name is near.

    Args:
        location: the unknown name, its section before it where it has one.
        known: names that stand there.
    """
    *section, name = location
    known = sorted(known)
    if not section and name in _SECTIONS:
        return f"; did you mean {_SECTIONS[name]}?"
    near = nearest(name, known)
    return f"; did you mean {'.'.join([*section, near])}?" if near else ""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The field that was meant by ``name``; None where none is near."""
    known = sorted(known)
    synonyms = [word for word in _FIELDS.get(name, ()) if word in known]
    near = synonyms or difflib.get_close_matches(name, known, n=1, cutoff=_NEAR)
    return near[0] if near else None
