"""Each stage's trainer, built as the stage builds it but on a model of a few weights and rows of a
few tokens, and one step of it: trainers refuse combinations that no single setting tells of."""

import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
    Trainer,
)

from rlhf_compare.data.quiet import no_bars
from rlhf_compare.dpo.reference import CachedLogps, with_logps
from rlhf_compare.dpo.trainer import EncodedDPOTrainer
from rlhf_compare.models.adapters import Hats, lora_config
from rlhf_compare.models.tokenizer import first_line
from rlhf_compare.ppo.trainer import PPOTrainer
from rlhf_compare.reward.trainer import RankingTrainer
from rlhf_compare.runs.resuming import random_state, set_random_state
from rlhf_compare.sft.trainer import MeteredSFTTrainer

_WORDS = ["[UNK]", "[PAD]", "[EOS]", "a", "b"]
_EOS = _WORDS.index("[EOS]")
_PROMPT, _BETTER, _WORSE = [3, 4], [3, _EOS], [4, _EOS]

# say where in the recipe's own policy the adapters go, and which tokens its tokenizer has
_OF_THE_POLICY = {
    "target_modules", "exclude_modules", "target_parameters", "layers_to_transform",
    "layers_pattern", "rank_pattern", "alpha_pattern", "trainable_token_indices", "eva_config",
    "loftq_config", "megatron_config", "megatron_core",
}  # fmt: skip
_tried: dict[str, str | None] = {}  # settings -> what was refused
_OF_THE_TOKENIZER = ("eos_token", "pad_token", "stop_token_id", "chat_template_path")


def refusal(base: str, args: Any, lora: dict[str, Any] | None) -> str | None:
    """Why the trainer of a stage would not be built; None if it would.

    Args:
        base: sft, reward, ppo or dpo.
        args: what the trainer would be built with; its model's and tokenizer's names are cleared.
        lora: the recipe's adapters.
    """
    for name in _OF_THE_TOKENIZER:
        if getattr(args, name, None) is not None:
            setattr(args, name, None)
    args.full_determinism = False  # a switch for the whole process
    args.gradient_accumulation_steps = args.gradient_accumulation_steps if base == "ppo" else 1
    for switch in ("torch_compile", "dataloader_drop_last", "dataloader_persistent_workers"):
        setattr(args, switch, False)  # slow, or for more rows than a trial has
    args.dataloader_num_workers, args.dataloader_prefetch_factor = 0, None
    args.max_steps = args.max_steps if base == "ppo" else 1
    here = {k: v for k, v in (lora or {}).items() if k not in _OF_THE_POLICY}
    adapters = None if lora is None else {**here, "target_modules": ["c_attn"]}
    args.output_dir = ""  # the same settings are tried once in a process, wherever they write
    settings = f"{base} {args.to_json_string()} {json.dumps(adapters, sort_keys=True, default=str)}"
    if settings not in _tried:
        _tried[settings] = _refusal(base, args, adapters)
    return _tried[settings]


def _refusal(base: str, args: Any, adapters: dict[str, Any] | None) -> str | None:
    build = {"sft": _sft, "reward": _reward, "ppo": _ppo, "dpo": _dpo}[base]
    with _undisturbed(), tempfile.TemporaryDirectory() as folder:
        args.output_dir = folder  # a Trainer makes its own
        try:
            build(args, None if adapters is None else lora_config(adapters))
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


def _sft(args: Any, _: LoraConfig | None) -> None:
    rows = {"input_ids": [_PROMPT + _BETTER] * 2, "completion_mask": [[0, 0, 1, 1]] * 2}
    trainer = MeteredSFTTrainer(
        model=_policy(),
        args=args,
        train_dataset=Dataset.from_dict(rows),
        processing_class=_tokenizer(),
    )
    _step(trainer)


def _reward(args: Any, _: LoraConfig | None) -> None:
    rows = Dataset.from_dict(
        {
            "prompt_ids": [_PROMPT] * 2,
            "response_ids": [[_BETTER, _WORSE]] * 2,
            "scores": [[1.0, 0.0]] * 2,
        }
    )
    trainer = RankingTrainer(
        model=_scorer(),
        args=args,
        train_dataset=rows,
        eval_dataset=None if args.early_stopping_patience is None else rows,
        processing_class=_tokenizer(),
    )
    _step(trainer)


def _ppo(args: Any, lora: LoraConfig | None) -> None:
    rollout = args.per_device_train_batch_size * args.gradient_accumulation_steps
    prompts = Dataset.from_dict({"input_ids": [_PROMPT] * rollout * args.world_size})
    length = len(_PROMPT) + args.response_length
    policy: Any = _policy(length)
    PPOTrainer(
        args=args,
        processing_class=_tokenizer(),
        model=policy if lora is None else Hats.on(policy, lora).model,
        ref_model=_policy(length) if lora is None else None,
        reward_model=_scorer(length),
        train_dataset=prompts,
        eval_dataset=prompts.select(range(1)),
        probe=_no_probe,
    )


class _WithoutReference(EncodedDPOTrainer):
    """Its log-probabilities are nobody's, so none are computed and no bar is shown."""

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:
        zeros = torch.zeros(len(dataset))
        return with_logps(dataset, CachedLogps(zeros, zeros, 0.0))


def _dpo(args: Any, lora: LoraConfig | None) -> None:
    columns = ("prompt_ids", "chosen_ids", "rejected_ids")
    parts = (_PROMPT, _BETTER, _WORSE)
    rows = Dataset.from_dict({k: [v] * 2 for k, v in zip(columns, parts, strict=True)})
    live = lora is None and not args.precompute_ref_log_probs
    trainer = _WithoutReference(
        model=_policy(),
        ref_model=_policy() if live else None,
        args=args,
        train_dataset=rows,
        eval_dataset=rows,
        processing_class=_tokenizer(),
        peft_config=lora,
        probe=_no_probe,
    )
    _step(trainer)


def _step(trainer: Trainer) -> None:
    """What fails as training begins; left to the stage where processes share a model."""
    if not (trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled):
        trainer.train()


def _no_probe(_: Any) -> dict[str, float]:
    return {}


def _config(length: int) -> GPT2Config:
    special = {"bos_token_id": _EOS, "eos_token_id": _EOS, "pad_token_id": 1}
    sizes = {"n_layer": 1, "n_head": 1, "n_embd": 4, "n_positions": max(length, 16)}
    return GPT2Config(vocab_size=len(_WORDS), num_labels=1, **sizes, **special)


def _policy(length: int = 0) -> GPT2LMHeadModel:
    return GPT2LMHeadModel(_config(length))


def _scorer(length: int = 0) -> GPT2ForSequenceClassification:
    return GPT2ForSequenceClassification(_config(length))


def _tokenizer() -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(_WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]", eos_token="[EOS]"
    )
