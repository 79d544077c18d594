"""The update: clipped policy and value losses over a rollout, one optimizer step a mini-batch."""

import math
from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rlhf_compare.ppo.config import PPOConfig
from rlhf_compare.ppo.loss import policy_loss, value_loss
from rlhf_compare.ppo.rollout import Rollout, window
from rlhf_compare.tensors.padding import micro_batches


@dataclass
class Updater:
    """Everything that one update needs beside the rollout.

    Attributes:
        model: policy and value, as the Trainer wraps them.
        check_finite: raises on NaN and infinity, before the optimizer steps.
        record: takes what is logged, once an optimizer step.
        count: takes the tokens trained on, prompts included.
        train_policy: False while the critic warms up.
    """

    config: PPOConfig
    model: Any
    optimizer: Any
    accelerator: Any
    check_finite: Callable[..., None]
    record: Callable[[dict[str, float]], None]
    count: Callable[..., None]
    train_policy: bool = True

    def run(self, rollout: Rollout, advantages: Tensor, returns: Tensor) -> Tensor:
        """``num_ppo_epochs`` passes over the rollout in mini-batches; returns the mean loss.

        Stops where the policy moved further than ``target_kl`` nats per token from the one that
        sampled.
        """
        losses, limit = [], self.config.target_kl
        for epoch in range(self.config.num_ppo_epochs):
            # the loader has shuffled the prompts, so the first pass keeps their order
            order = torch.arange(len(rollout)) if epoch == 0 else torch.randperm(len(rollout))
            for rows in order.split(self.config.local_mini_batch_size):
                loss, approx_kl = self._step(rollout, advantages, returns, rows)
                losses.append(loss)
                if limit is not None and approx_kl > limit:
                    self.record({"policy/stopped_early": 1.0})
                    return torch.stack(losses).mean()
        if limit is not None:
            self.record({"policy/stopped_early": 0.0})
        return torch.stack(losses).mean()

    def _step(
        self, rollout: Rollout, advantages: Tensor, returns: Tensor, rows: Tensor
    ) -> tuple[Tensor, float]:
        """One optimizer step on the episodes ``rows``: its loss and its approximate KL."""
        # Every loss is divided by the real tokens of the whole step, so the size of the
        # micro-batches changes nothing.
        tokens = rollout.response_mask[rows].sum()
        self.count(trained=int(rollout.lengths[rows].sum()))
        count = self.accelerator.gather(tokens).sum() / self.accelerator.num_processes
        stats: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=count.device))
        micros = micro_batches(rollout.lengths, rows, self.config.per_device_train_batch_size)
        for index, micro in enumerate(micros):
            last = index == len(micros) - 1  # processes exchange gradients once a step
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                loss = self._loss(rollout, advantages, returns, micro, count, stats)
                self.check_finite(loss)
                self.accelerator.backward(loss)
            stats["loss"] += loss.detach()
        norm = self.accelerator.clip_grad_norm_(
            self.model.parameters(), self.config.max_grad_norm or math.inf
        )
        self.check_finite(norm, "gradient norm")
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        total = stats.pop("loss")
        stats["policy/grad_norm"] = norm
        self.record({name: float(value) for name, value in stats.items()})
        # The mean over all processes: if one process stopped alone, the others would wait for its
        # gradients forever.
        moved = self.accelerator.reduce(stats["policy/approxkl_avg"], reduction="mean")
        return total, float(moved)

    def _loss(
        self,
        rollout: Rollout,
        advantages: Tensor,
        returns: Tensor,
        rows: Tensor,
        count: Tensor,
        stats: dict[str, Tensor],
    ) -> Tensor:
        """Policy, value and entropy losses of a micro-batch; adds what is logged to ``stats``."""
        config = self.config
        cut = window(rollout.sequences, rollout.lengths, rollout.predicted, rows)
        with self.accelerator.autocast():
            found = self.model(
                cut.sequences,
                cut.predicted,
                config.temperature,
                entropy=self.train_policy and bool(config.entropy_coef),
            )
        real = rollout.response_mask[rows]
        old, old_values, advantage, target = (
            column[rows][real] for column in (rollout.logprobs, rollout.values, advantages, returns)
        )
        every = torch.ones_like(old, dtype=torch.bool)
        policy = policy_loss(found.logprobs, old, advantage, every, config.cliprange, count)
        value, value_clipped = value_loss(
            found.values, old_values, target, every, config.cliprange_value, count
        )
        loss = config.vf_coef * value
        if self.train_policy:
            loss = loss + policy.loss
            if config.entropy_coef:
                loss = loss - config.entropy_coef * found.entropy.sum() / count
        stats["loss/policy_avg"] += policy.loss.detach()
        stats["loss/value_avg"] += value.detach()
        stats["policy/approxkl_avg"] += policy.approx_kl_sum / count
        stats["policy/clipfrac_avg"] += policy.clipped_sum / count
        stats["policy/clamped_log_ratios"] += policy.clamped
        stats["val/ratio"] += policy.ratio_sum / count
        stats["val/clipfrac_avg"] += value_clipped / count
        return loss
