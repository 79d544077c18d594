"""A ``transformers.Trainer`` whose step is a whole iteration on a batch of prompts.

Subclasses implement ``training_step``, which is the iteration, and name the critic's weights.
"""

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import Trainer

from rlhf_compare.ppo.config import PPOConfig
from rlhf_compare.runs.trainer import StageTrainer
from rlhf_compare.tensors.padding import pad_sequences


class IterationTrainer(StageTrainer, Trainer):
    """Batches of prompts in, one log row of means out, two learning rates.

    Args:
        ppo: the settings as they were given; ``args`` is the Trainer's copy of them.
        pad_id: fills the left of short prompts.
        data_collator: makes a batch with ``input_ids`` of rows with ``input_ids``; None = our own.
    """

    def __init__(
        self, *, ppo: PPOConfig, pad_id: int, data_collator: Any = None, **kwargs: Any
    ) -> None:
        self.ppo, self.pad_id = ppo, pad_id
        self._history: dict[str, list[float]] = defaultdict(list)
        self._users_collator = data_collator
        super().__init__(data_collator=self._collate, **kwargs)

    def _critic_parameters(self) -> list[Any]:
        """The weights that learn at ``value_learning_rate``."""
        raise NotImplementedError

    # --- the log

    def memory(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        values, tensors = super().memory()
        return {**values, "history": dict(self._history)}, tensors

    def remember(self, values: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        super().remember(values, tensors)
        self._history = defaultdict(list, values["history"])

    def _record(self, metrics: dict[str, float]) -> None:
        for name, value in metrics.items():
            self._history[name].append(value)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the means since the last row. Drops the Trainer's gradient norm: no gradient is left
        when the Trainer computes it."""
        if "loss" in logs:
            logs.pop("grad_norm", None)
            logs.update({name: sum(v) / len(v) for name, v in self._history.items()})
            episodes = self.ppo.episodes_per_process * self.args.world_size
            logs["episode"] = self.state.global_step * episodes
            self._history.clear()
        super().log(logs, start_time)

    # --- the pad id

    def train(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().train(*args, **kwargs)
        finally:
            self.keep_pad_inside()

    def keep_pad_inside(self) -> None:
        """Put a pad id that the embedding has into the model's configuration. The Trainer copies
        the tokenizer's pad id there; with an id beyond the embedding the saved model could not be
        loaded."""
        for config in (self.policy.config, self.policy.generation_config):
            if config is not None and config.pad_token_id == self.processing_class.pad_token_id:
                config.pad_token_id = self.pad_id

    # --- prompts and optimizer

    def _collate(self, rows: list[dict[str, list[int]]]) -> dict[str, Tensor]:
        prompts = [row["input_ids"] for row in rows]
        if self._users_collator is not None:
            prompts = self._as_collated(self._users_collator(rows))
        ids, mask = pad_sequences(prompts, self.pad_id, "left")
        return {"prompt_ids": ids, "prompt_mask": mask}

    def _as_collated(self, batch: Any) -> list[list[int]]:
        """The prompts of a collator's batch without padding. The mask tells padding; a batch
        without a mask is read by the tokenizer's pad id, as TRL does."""
        ids = torch.as_tensor(batch["input_ids"])
        mask = batch.get("attention_mask")
        real = ids != self.processing_class.pad_token_id if mask is None else torch.as_tensor(mask)
        return [row[keep].tolist() for row, keep in zip(ids, real.bool(), strict=True)]

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches of prompts, one whole rollout each."""
        batches: DataLoader[Any] = self._get_dataloader(
            dataset=self.train_dataset,
            description="Training",
            batch_size=self.ppo.episodes_per_process,
            sampler_fn=self._get_train_sampler,
            is_training=True,
        )
        return batches

    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns = ["input_ids"]

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """The Trainer's optimizer, with the value model's parameters in a group with a learning
        rate of their own."""
        optimizer: torch.optim.Optimizer = super().create_optimizer(model)
        rate = self.ppo.value_learning_rate
        if rate is not None:
            critic = {id(p) for p in self._critic_parameters()}
            for group in list(optimizer.param_groups):
                critics = [p for p in group["params"] if id(p) in critic]
                group["params"] = [p for p in group["params"] if id(p) not in critic]
                if critics:
                    optimizer.add_param_group({**group, "params": critics, "lr": rate})
        return optimizer
