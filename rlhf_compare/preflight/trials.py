"""Each stage's trainer, built as the stage builds it but on a model of a few weights and rows of a
few tokens: trainers refuse combinations that no single setting tells of."""

import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from peft import LoraConfig

from rlhf_compare.data.quiet import no_bars
from rlhf_compare.errors import first_line
from rlhf_compare.models.adapters import lora_config
from rlhf_compare.runs.resuming import random_state, set_random_state

TryStep = Callable[[Any, LoraConfig | None], None]

# say where in the recipe's own policy the adapters go, and which tokens its tokenizer has
_OF_THE_POLICY = {
    "target_modules", "exclude_modules", "target_parameters", "layers_to_transform",
    "layers_pattern", "rank_pattern", "alpha_pattern", "trainable_token_indices", "eva_config",
    "loftq_config", "megatron_config", "megatron_core",
}  # fmt: skip
_tried: dict[str, str | None] = {}  # settings -> what was refused
_OF_THE_TOKENIZER = ("eos_token", "pad_token", "stop_token_id", "chat_template_path")


def refusal(name: str, try_step: TryStep, args: Any, lora: dict[str, Any] | None) -> str | None:
    """Why the trainer of a stage would not be built; None if it would.

    Args:
        name: of the stage or method.
        try_step: see :class:`rlhf_compare.runs.method.Method`.
        args: what the trainer would be built with; its model's and tokenizer's names are cleared.
        lora: the recipe's adapters.
    """
    for field in _OF_THE_TOKENIZER:
        if getattr(args, field, None) is not None:
            setattr(args, field, None)
    args.full_determinism = False  # a switch for the whole process
    for switch in ("torch_compile", "dataloader_drop_last", "dataloader_persistent_workers"):
        setattr(args, switch, False)  # slow, or for more rows than a trial has
    args.dataloader_num_workers, args.dataloader_prefetch_factor = 0, None
    here = {k: v for k, v in (lora or {}).items() if k not in _OF_THE_POLICY}
    adapters = None if lora is None else {**here, "target_modules": ["c_attn"]}
    args.output_dir = ""  # the same settings are tried once in a process, wherever they write
    settings = f"{name} {args.to_json_string()} {json.dumps(adapters, sort_keys=True, default=str)}"
    if settings not in _tried:
        _tried[settings] = _refusal(try_step, args, adapters)
    return _tried[settings]


def _refusal(try_step: TryStep, args: Any, adapters: dict[str, Any] | None) -> str | None:
    with _undisturbed(), tempfile.TemporaryDirectory() as folder:
        args.output_dir = folder  # a Trainer makes its own
        try:
            try_step(args, None if adapters is None else lora_config(adapters))
        except Exception as error:  # every library refuses in its own way
            return first_line(error) or type(error).__name__
    return None


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No random number of the run is drawn and nothing is printed."""
    state, level = random_state(), logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with no_bars(), warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(level)
        set_random_state(*state)
