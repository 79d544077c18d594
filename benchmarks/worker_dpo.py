"""One DPO run of one system: settings and inputs in, JSON out."""

import json
import sys
import time
from pathlib import Path
from typing import Any

OURS, TRL_CHAPTER, TRL_BEST = "ours", "trl_chapter", "trl_best"
NAMES = {
    OURS: "ours",
    TRL_CHAPTER: "TRL, 4 x 4, live reference",
    TRL_BEST: "TRL, 16 x 1, reference beforehand, by length",
}
_COMMON = {
    "num_train_epochs": 1,
    "learning_rate": 1e-5,
    "beta": 0.3,
    "max_length": None,
    "bf16": False,
    "use_cpu": True,
    "gradient_checkpointing": False,
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
}
_OF = {
    OURS: {"per_device_train_batch_size": 16, "precompute_ref_log_probs": True},
    TRL_CHAPTER: {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 4},
    TRL_BEST: {"per_device_train_batch_size": 16, "precompute_ref_log_probs": True},
}


def run(
    system: str, inputs: Path, scratch: str, count: int, seed: int, same_order: bool
) -> dict[str, Any]:
    """Train and tell."""
    import trl
    from datasets import Dataset, load_from_disk
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from benchmarks.memory import resident_bytes, resident_peak
    from rlhf_compare.dpo.config import DPOConfig
    from rlhf_compare.dpo.reference import ReferenceCache
    from rlhf_compare.dpo.trainer import EncodedDPOTrainer
    from rlhf_compare.models.policy import fuse_activations

    class AsItIs(trl.DPOTrainer):
        """TRL's own, given token ids: its tokenisation would make other tokens of the same text."""

        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset

        def _set_signature_columns_if_needed(self) -> None:
            super()._set_signature_columns_if_needed()
            self._signature_columns.append("length")  # or batches by length fail in TRL 1.16

        def _precompute_ref_logps(self, *arguments: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return super()._precompute_ref_logps(*arguments, **named)
            finally:
                reference["seconds"] += time.perf_counter() - start

    reference = {"seconds": 0.0}
    tokenizer = AutoTokenizer.from_pretrained(inputs / "tokenizer")
    pairs = load_from_disk(str(inputs / "pairs"))
    # another stretch of the corpus a seed; in memory, so that no system finds what another cached
    pairs = pairs.shuffle(seed=seed).select(range(min(count, len(pairs))))
    pairs = Dataset.from_dict(pairs.to_dict())
    policy = AutoModelForCausalLM.from_pretrained(inputs / "policy")
    imported = resident_bytes()
    settings: dict[str, Any] = {**_COMMON, **_OF[system], "output_dir": scratch, "seed": seed}
    if same_order:
        settings["train_sampling_strategy"] = "sequential"
    elif system in (OURS, TRL_BEST):
        settings["train_sampling_strategy"] = "group_by_length"
    named: dict[str, Any] = {
        "model": policy,
        "train_dataset": pairs,
        "processing_class": tokenizer,
    }
    with resident_peak() as peak:
        start = time.perf_counter()
        if system == OURS:
            fuse_activations(policy)
            trainer: Any = EncodedDPOTrainer(
                args=DPOConfig(**settings),
                reference_cache=ReferenceCache(Path(scratch) / "cache", "policy"),
                **named,
            )
            reference["seconds"] = trainer.meter.phases["reference"]
        else:
            if system == TRL_CHAPTER:
                named["ref_model"] = AutoModelForCausalLM.from_pretrained(inputs / "policy")
            else:
                named["train_dataset"] = pairs.add_column("length", list(map(_length, pairs)))
            trainer = AsItIs(args=trl.DPOConfig(**settings), **named)
        padding = _watch_padding(trainer)
        trainer.train()
        seconds = time.perf_counter() - start
    return {
        "pairs": len(pairs),
        "seconds": seconds,
        "reference_seconds": reference["seconds"],
        "padding_share": padding["empty"] / padding["all"],
        "optimizer_steps": trainer.state.global_step,
        "losses": [row["loss"] for row in trainer.state.log_history if "loss" in row],
        "peak": peak.peak - imported,
    }


def _length(pair: dict[str, list[int]]) -> int:
    return len(pair["prompt_ids"]) + max(len(pair["chosen_ids"]), len(pair["rejected_ids"]))


def _watch_padding(trainer: Any) -> dict[str, int]:
    """Counts cells of every batch that the collator makes while training."""
    counts, collate = {"all": 0, "empty": 0}, trainer.data_collator

    def counting(rows: Any) -> Any:
        batch = collate(rows)
        mask = batch["attention_mask"]
        counts["all"] += mask.numel()
        counts["empty"] += int((mask == 0).sum())
        return batch

    trainer.data_collator = counting
    return counts


if __name__ == "__main__":
    name, inputs_directory, scratch_directory, result_file, pairs_count, seed_text, order = (
        sys.argv[1:]
    )
    outcome = run(
        name,
        Path(inputs_directory),
        scratch_directory,
        int(pairs_count),
        int(seed_text),
        bool(int(order)),
    )
    Path(result_file).write_text(json.dumps(outcome), encoding="utf-8")
