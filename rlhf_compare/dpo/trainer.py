"""TRL's DPOTrainer on our token ids.

What it adds to TRL's:
 1. The data arrive encoded. TRL 1.16 tokenises prompt and completion as one string, which merges a
    trailing space of the prompt into the completion and trains on a context that inference never
    sees.
 2. Reference log-probabilities are computed once and shared by all runs on the same pairs.
 3. Batches hold pairs of similar length; a pair stays together, chosen and rejected in one forward.
 4. Evaluations show adoption and KL beside the loss, and the log-ratios of chosen and rejected
    apart: when both fall ("likelihood displacement", Razin et al. 2025) no margin shows it.
 5. It can stop at a KL budget and keep the best policy within it.
"""

import time
from typing import Any

import torch
from datasets import Dataset, IterableDataset
from peft import PeftModel
from torch import Tensor, nn
from torch.utils.data import DataLoader
from trl import DPOTrainer

from rlhf_compare.bars import bar
from rlhf_compare.dpo.config import DPOConfig
from rlhf_compare.dpo.forward import logprobs_alone, use_pair_forward
from rlhf_compare.dpo.reference import CachedLogps, ReferenceCache, with_logps
from rlhf_compare.models.adapter_trial import (
    adapter_fault,
    kind_fault,
    short_logits,
    undisturbed,
)
from rlhf_compare.models.adapters import AdapterSwitch, require_lora
from rlhf_compare.models.policy import disable_dropout
from rlhf_compare.runs.trainer import StageTrainer

_SIDES = ("chosen", "rejected")


class EncodedDPOTrainer(StageTrainer, DPOTrainer):
    """DPOTrainer that takes ``prompt_ids``, ``chosen_ids``, ``rejected_ids`` as they are.

    Args:
        model, ...: as of TRL's trainer; ``args`` may be TRL's own DPOConfig too.
        reference_cache: where reference log-probabilities are kept; None = nowhere.
        peft_config: of low-rank adapters on ``model``, which with them off is the reference.

    Raises:
        TypeError: adapters of another kind.
        ValueError: adapters that cannot be taken off, and what TRL's trainer refuses.
    """

    args: DPOConfig
    loss_weights: list[float]

    def __init__(
        self,
        model: Any,
        *args: Any,
        reference_cache: ReferenceCache | None = None,
        peft_config: Any = None,
        **kwargs: Any,
    ) -> None:
        self._cache, self._in_one_of_several = reference_cache, False
        self._sft_tokens_of_a_part: float | None = None  # mean over the parts of the step
        before = _before_adapters(model, peft_config)
        given = kwargs.get("args", args[1] if len(args) > 1 else None)
        # TRL's option switches dropout modules off, but not a dropout that is a number
        if given is None or given.disable_dropout:
            reference = kwargs.get("ref_model", args[0] if args else None)
            for part in (model, reference):
                if isinstance(part, nn.Module):
                    disable_dropout(part)
        super().__init__(model, *args, peft_config=peft_config, **kwargs)
        self._use_pair_forward()
        if before is not None and (
            fault := adapter_fault(AdapterSwitch(self.model, "default"), "default", before)
        ):
            raise ValueError(f"peft_config: {fault}")
        # our own fields, which TRL's config lacks
        self._kl_budget: float | None = getattr(self.args, "kl_budget", None)
        self._keeps_best = getattr(self.args, "keep", "last") == "best"
        if self._kl_budget is not None and self.probe is None:
            raise ValueError("kl_budget needs a probe: nothing else here measures the KL")
        if self._keeps_best and self.eval_dataset is None:
            raise ValueError("keep: best needs an eval_dataset to choose by")

    def _use_pair_forward(self) -> None:
        # Under mixed precision accelerate has wrapped the reference's forward with autocast;
        # replacing that forward would lose the cast.
        mixed = self.args.bf16 or self.args.fp16
        for model in (self.model, None if mixed else self.ref_model):
            if model is not None and not self.use_weighting:
                use_pair_forward(model)

    def _prepare_dataset(
        self, dataset: Dataset, processing_class: Any, args: DPOConfig, dataset_name: str
    ) -> Dataset:
        if isinstance(dataset, IterableDataset):
            if args.train_sampling_strategy == "group_by_length":
                raise ValueError(
                    "train_sampling_strategy: group_by_length needs all lengths, and a stream has "
                    "none; use random, or a Dataset"
                )
            return dataset
        lengths = [
            len(prompt) + max(len(chosen), len(rejected))
            for prompt, chosen, rejected in zip(
                *(dataset[f"{name}_ids"] for name in ("prompt", *_SIDES)), strict=True
            )
        ]
        return dataset.add_column(args.length_column_name, lengths)

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        if self.args.length_column_name not in self._signature_columns:
            self._signature_columns.append(self.args.length_column_name)

    # --- reference log-probabilities

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:
        """Computed once for all runs. A run that finds them on disk is charged the time of the
        original computation, so that later runs do not look cheaper. The time for held-out pairs is
        charged to the evaluation."""
        if isinstance(dataset, IterableDataset):
            return super()._precompute_ref_logps(dataset, name, batch_size)  # raises the reason
        phase, cache, args = "reference" if name == "train" else "evaluate", self._cache, self.args
        if cache is None:
            with self.meter.phase(phase):
                return with_logps(dataset, self._reference_logps(dataset, batch_size))
        cut = (args.max_length, args.truncation_mode)
        path = cache.path(dataset, (args.bf16, args.fp16, args.ld_alpha, args.device.type, *cut))
        known = cache.load(path)
        if known is not None:
            self.meter.charge(phase, known.seconds)
            return with_logps(dataset, known)
        with self.meter.phase(phase):
            computed = self._reference_logps(dataset, batch_size)
        if self.is_world_process_zero():
            cache.save(path, computed)
        return with_logps(dataset, computed)

    def compute_ref_log_probs(self, model: Any, inputs: dict[str, Tensor]) -> Any:
        return super().compute_ref_log_probs(logprobs_alone(model), inputs)

    def _reference_logps(self, dataset: Dataset, batch_size: int) -> CachedLogps:
        """Computed in batches of similar length. TRL's own pass takes the pairs in their order, and
        caches the result beside the data; a later run would find it and be charged nothing."""
        start = time.perf_counter()
        self._use_pair_forward()  # TRL calls this before its constructor ends
        order = torch.tensor(dataset[self.args.length_column_name]).argsort()
        # DataLoader draws a random number. fork_rng keeps training the same with and without a
        # cache hit.
        with torch.random.fork_rng():
            loader = self.accelerator.prepare(
                DataLoader(
                    dataset.select(order.tolist()), batch_size, collate_fn=self.data_collator
                )
            )
            parts = []
            with bar("reference", len(loader), "batch", delay=3.0, leave=False) as progress:
                for batch in loader:
                    logps = self.compute_ref_log_probs(self.ref_model or self.model, batch)
                    parts.append(self.accelerator.gather_for_metrics(logps))
                    progress.update()
        chosen, rejected = (
            torch.cat(side).float().cpu()[order.argsort()] for side in zip(*parts, strict=True)
        )
        return CachedLogps(chosen, rejected, time.perf_counter() - start)

    # --- what is logged

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """The micro-batches of an optimizer step; the ``sft`` loss is a mean over their tokens."""
        samples, items = super().get_batch_samples(*args, **kwargs)
        if "sft" in self.loss_types:
            tokens = torch.tensor(sum(_sft_tokens(batch) for batch in samples))
            total = self.accelerator.gather(tokens.to(self.args.device)).sum()
            parts = len(samples) * self.accelerator.num_processes
            self._sft_tokens_of_a_part = float(total) / max(parts, 1)
        return samples, items

    def _compute_loss(self, model: Any, inputs: dict[str, Tensor], return_outputs: bool) -> Any:
        weights = self.loss_weights
        if self.model.training:
            self.loss_weights = self._weights_of(inputs)
        try:
            loss = super()._compute_loss(model, inputs, return_outputs)
        finally:
            self.loss_weights = weights
        log = self._metrics["train" if self.model.training else "eval"]
        for side in _SIDES:  # in nats per response: TRL's "rewards" are these times beta
            log[f"logratios/{side}"].append(log[f"rewards/{side}"][-1] / self.beta)
        mask = inputs["attention_mask"]
        trained, padding = int(mask.sum()), int((mask == 0).sum())
        log["padding_share"].append(padding / mask.numel())
        if self.model.training:
            self.meter.count(trained=trained, padding=padding)
        return loss

    def samples_in(self, inputs: Any) -> int:
        """Pairs: a batch holds the chosen responses and then the rejected ones."""
        return len(inputs["input_ids"]) // 2

    def _weights_of(self, inputs: dict[str, Tensor]) -> list[float]:
        """Weights of the losses on one micro-batch.

        TRL divides its ``sft`` loss by the tokens of the micro-batch and the Trainer takes the mean
        over micro-batches and processes, so that a token in a short batch counts for more. Weighed
        by its share of the step's tokens, the gradient is that of the uncut batch. The other
        losses are means over pairs, and ``aot`` compares the pairs of a micro-batch by design.
        """
        if "sft" not in self.loss_types or self._sft_tokens_of_a_part is None:
            return list(self.loss_weights)
        share = _sft_tokens(inputs) / self._sft_tokens_of_a_part
        return [
            weight * share if name == "sft" else weight
            for name, weight in zip(self.loss_types, self.loss_weights, strict=True)
        ]

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """TRL's metrics on held-out pairs (one set, or several by name) and the probe's. Where
        ``keep`` is best, what the choice is made by, and the end of training over ``kl_budget``."""
        asked = (eval_dataset, ignore_keys, metric_key_prefix)
        if self._in_one_of_several:  # the whole evaluation asks the probe, once
            return dict(super(StageTrainer, self).evaluate(*asked))
        sets = self.eval_dataset if eval_dataset is None else eval_dataset
        self._in_one_of_several, before = isinstance(sets, dict), len(self.state.log_history)
        try:
            metrics = super().evaluate(*asked)
        finally:
            self._in_one_of_several = False
        if self._keeps_best:
            metrics["eval_selection"] = self._selection(metrics, self.state.log_history[before:])
            self.log({"eval_selection": metrics["eval_selection"]})
        return metrics

    def _selection(self, metrics: dict[str, float], rows: list[dict[str, float]]) -> float:
        """What ``keep: best`` maximises: of several sets their mean."""
        kl, budget = metrics.get("eval_kl_exact"), self._kl_budget
        if kl is not None and budget is not None and kl > budget:
            self.control.should_training_stop = True
            return -kl
        if "eval_adoption_exact" in metrics:
            return metrics["eval_adoption_exact"]
        accuracies = [
            value
            for row in rows
            for name, value in row.items()
            if name.startswith("eval_") and name.endswith("rewards/accuracies")
        ]
        return sum(accuracies) / len(accuracies)


def _before_adapters(model: Any, peft_config: Any) -> Tensor | None:
    """Logits of a model that is to get adapters; None where none are added here."""
    given = list(model.peft_config.values()) if isinstance(model, PeftModel) else []
    for config in given:
        if fault := kind_fault(config):
            raise TypeError(fault)
    if peft_config is None:
        return None
    require_lora(peft_config)
    if given or not isinstance(model, nn.Module):
        return None  # a path: TRL loads it; a PEFT model: TRL refuses it
    with undisturbed(model):
        return short_logits(model)


def _sft_tokens(batch: dict[str, Tensor]) -> int:
    """Tokens that TRL's ``sft`` loss counts: those of the chosen responses, which come first."""
    chosen, _ = batch["completion_mask"][:, 1:].chunk(2, dim=0)
    return int(chosen.sum())
