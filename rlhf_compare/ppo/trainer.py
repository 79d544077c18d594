"""PPO for a learned reward, on ``transformers.Trainer``.

One training step of the Trainer is one PPO iteration:

    collect     sample responses; score them; reference, value and old log-probabilities
    rewards     R(x, y) = r(x, y) - beta log(pi / pi_ref), spread over the tokens
    advantages  GAE, then mean removed and scaled over the whole rollout
    update      num_ppo_epochs passes of clipped policy and value losses

The optimizer steps inside the iteration are ours; afterwards no gradient is left, so the one that
the Trainer takes changes nothing and what remains of it is its learning-rate schedule, its log,
its checkpoints and its resumption, all counted in iterations.
"""

import copy
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainerCallback

from rlhf_compare.models.generation import Responses, generate
from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.models.policy import disable_dropout, response_logits
from rlhf_compare.ppo.config import PPOConfig
from rlhf_compare.ppo.loss import explained_variance, gae, policy_loss, token_rewards, value_loss
from rlhf_compare.ppo.models import PolicyAndValue
from rlhf_compare.ppo.rollout import Rollout, join
from rlhf_compare.runs.trainer import StageTrainer
from rlhf_compare.tensors.kl import exact_token_kl
from rlhf_compare.tensors.logprobs import token_entropy, token_logprobs
from rlhf_compare.tensors.masked import masked_mean, masked_sum, masked_whiten
from rlhf_compare.tensors.padding import pad_sequences


class PPOTrainer(StageTrainer, Trainer):
    """Trains ``model`` to maximise E[r(x, y)] - beta KL(pi || pi_ref).

    Args:
        args: the settings.
        processing_class: the tokenizer; gives EOS and pad ids.
        model: the policy; trained in place.
        ref_model: the reference; None = a frozen copy of ``model`` as it is now.
        reward_model: scores sequences; never trained.
        value_model: the critic; None = a copy of ``reward_model``.
        train_dataset: column ``input_ids``, prompts as token ids.
        callbacks: transformers callbacks.

    Raises:
        ValueError: fewer prompts than one rollout needs.
    """

    def __init__(
        self,
        *,
        args: PPOConfig,
        processing_class: PreTrainedTokenizerBase,
        model: PreTrainedModel,
        ref_model: PreTrainedModel | None = None,
        reward_model: ScalarHeadModel,
        value_model: ScalarHeadModel | None = None,
        train_dataset: Dataset,
        callbacks: Sequence[TrainerCallback] | None = None,
        **kwargs: Any,
    ) -> None:
        if len(train_dataset) < args.local_batch_size * args.world_size:
            raise ValueError(
                f"{len(train_dataset)} prompts are fewer than one rollout of "
                f"{args.local_batch_size * args.world_size} episodes; lower "
                "per_device_train_batch_size or gradient_accumulation_steps"
            )
        if ref_model is model:
            raise ValueError("ref_model must not be the model that is trained; None makes a copy")
        self.ppo = args
        self.pad_id, self.eos_id = processing_class.pad_token_id, processing_class.eos_token_id
        self.ref_model = _frozen(ref_model or copy.deepcopy(model))
        if value_model is None:
            value_model = copy.deepcopy(reward_model)
        self.reward_model = _frozen(reward_model)
        disable_dropout(model)
        disable_dropout(value_model)
        self.score_offset: float | None = None  # set before the first rollout
        self._history: dict[str, list[float]] = defaultdict(list)
        super().__init__(
            model=PolicyAndValue(model, value_model),
            args=_iteration_arguments(args, len(train_dataset)),
            processing_class=processing_class,
            train_dataset=train_dataset,
            data_collator=self._collate,
            callbacks=callbacks,
            **kwargs,
        )
        self.ref_model.to(self.args.device)
        self.reward_model.to(self.args.device)

    @property
    def policy(self) -> PreTrainedModel:
        return self.accelerator.unwrap_model(self.model).policy

    @property
    def value_model(self) -> ScalarHeadModel:
        return self.accelerator.unwrap_model(self.model).value_model

    # --- one PPO iteration

    def training_step(self, model: Any, inputs: dict[str, Tensor], *_: Any, **__: Any) -> Tensor:
        """Collect, reward, estimate advantages, update, log. Returns the mean loss."""
        inputs = self._prepare_inputs(inputs)
        if self.score_offset is None:
            self.score_offset = self._reference_mean_score()
        rollout = self.collect(inputs["prompt_ids"], inputs["prompt_mask"])
        mask = rollout.response_mask
        rewards = token_rewards(
            rollout.scores,
            rollout.logprobs,
            rollout.ref_logprobs,
            mask,
            self.ppo.kl_coef,
            self.ppo.kl_estimator,
        )
        if self.ppo.whiten_rewards:
            rewards = masked_whiten(rewards, mask, shift_mean=False)
        advantages, returns = gae(rewards, rollout.values, mask, self.ppo.gamma, self.ppo.lam)
        loss = self.update(model, rollout, masked_whiten(advantages, mask), returns)
        self._record_rollout(rollout, returns)
        return loss

    @torch.no_grad()
    def collect(self, prompt_ids: Tensor, prompt_mask: Tensor) -> Rollout:
        """Sample a response to every prompt and everything that the losses need to know of it."""
        with self.meter.phase("generate"):
            responses = self._sample(self.policy, prompt_ids, prompt_mask)
        sequences, mask = join(prompt_ids, prompt_mask, responses)
        with self.meter.phase("score"):
            scores = self._scores(sequences, mask, responses) - (self.score_offset or 0.0)
        columns: dict[str, list[Tensor]] = defaultdict(list)
        for part in torch.arange(len(sequences)).split(self.ppo.per_device_train_batch_size):
            # cut as the update's first epoch is, so that its first ratios are 1 to the bit
            for name, value in self._judge(
                sequences[part], mask[part], responses.ids[part]
            ).items():
                columns[name].append(value)
        self.meter.count(generated=int(responses.mask.sum()))
        return Rollout(
            sequences=sequences,
            mask=mask,
            response_ids=responses.ids,
            response_mask=responses.mask,
            ended=responses.ended,
            scores=scores,
            **{name: torch.cat(parts) for name, parts in columns.items()},
        )

    def _judge(self, sequences: Tensor, mask: Tensor, response_ids: Tensor) -> dict[str, Tensor]:
        """Log-probabilities by policy and reference, values, exact KL and entropy of some rows."""
        length, temperature = response_ids.shape[1], self.ppo.temperature
        with self.meter.phase("score"):
            model = self.accelerator.unwrap_model(self.model).eval()
            logits, values = model(sequences, mask, length, temperature)
        with self.meter.phase("reference"):
            ref_logits = response_logits(self.ref_model, sequences, mask, length, temperature)
            ref_logprobs = token_logprobs(ref_logits, response_ids)
        with self.meter.phase("score"):
            return {
                "logprobs": token_logprobs(logits, response_ids),
                "ref_logprobs": ref_logprobs,
                "values": values,
                "token_kl": exact_token_kl(logits, ref_logits),
                "entropy": token_entropy(logits),
            }

    def update(self, model: Any, rollout: Rollout, advantages: Tensor, returns: Tensor) -> Tensor:
        """``num_ppo_epochs`` passes over the rollout in mini-batches; returns the mean loss."""
        losses = []
        for epoch in range(self.ppo.num_ppo_epochs):
            # the loader has shuffled the prompts already, so the first pass takes them as they are
            order = torch.arange(len(rollout)) if epoch == 0 else torch.randperm(len(rollout))
            for part in order.split(self.ppo.local_mini_batch_size):
                losses.append(self._optimizer_step(model, rollout, advantages, returns, part))
        return torch.stack(losses).mean()

    def _optimizer_step(
        self, model: Any, rollout: Rollout, advantages: Tensor, returns: Tensor, rows: Tensor
    ) -> Tensor:
        """One clipped step on the episodes ``rows``, cut into micro-batches of any size."""
        # every loss is divided by the real tokens of the whole step, so the cut changes nothing
        count = rollout.response_mask[rows].sum()
        total = torch.zeros((), device=advantages.device)
        stats: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=advantages.device))
        for micro in rows.split(self.ppo.per_device_train_batch_size):
            batch, mask = rollout.rows(micro), rollout.response_mask[micro]
            length = batch.response_ids.shape[1]
            logits, values = model(batch.sequences, batch.mask, length, self.ppo.temperature)
            logprobs = token_logprobs(logits, batch.response_ids)
            policy = policy_loss(
                logprobs, batch.logprobs, advantages[micro], mask, self.ppo.cliprange, count
            )
            value, value_clipped = value_loss(
                values, batch.values, returns[micro], mask, self.ppo.cliprange_value, count
            )
            loss = policy.loss + self.ppo.vf_coef * value
            self.check_finite(loss)
            self.accelerator.backward(loss)
            total += loss.detach()
            stats["loss/policy_avg"] += policy.loss.detach()
            stats["loss/value_avg"] += value.detach()
            stats["policy/approxkl_avg"] += policy.approx_kl_sum / count
            stats["policy/clipfrac_avg"] += policy.clipped_sum / count
            stats["val/ratio"] += policy.ratio_sum / count
            stats["val/clipfrac_avg"] += value_clipped / count
            stats["policy/clamped_log_ratios"] += policy.clamped
        norm = self.accelerator.clip_grad_norm_(
            model.parameters(), self.args.max_grad_norm or math.inf
        )
        self.check_finite(norm, "gradient norm")
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        stats["policy/grad_norm"] = norm
        self._record({name: float(value) for name, value in stats.items()})
        return total

    # --- what the iteration is made of

    def _sample(self, policy: PreTrainedModel, ids: Tensor, mask: Tensor) -> Responses:
        return generate(
            policy, ids, mask, self.ppo.response_length, self.eos_id, self.pad_id,
            self.ppo.temperature,
        )  # fmt: skip

    def _scores(self, sequences: Tensor, mask: Tensor, responses: Responses) -> Tensor:
        """r(x, y), less the penalty where EOS is missing: (B,)."""
        size = self.ppo.local_rollout_forward_batch_size
        parts = zip(sequences.split(size), mask.split(size), strict=True)
        scores = torch.cat([self.reward_model.scores(ids, real) for ids, real in parts])
        if self.ppo.missing_eos_penalty is not None:
            scores = torch.where(responses.ended, scores, scores - self.ppo.missing_eos_penalty)
        return scores

    @torch.no_grad()
    def _reference_mean_score(self) -> float:
        """Mean score of the reference's own responses: makes 0 the score of changing nothing."""
        wanted, scores = self.ppo.center_scores_on, []
        prompts = self.train_dataset[: min(wanted, len(self.train_dataset))]["input_ids"]
        size = self.ppo.local_rollout_forward_batch_size
        for start in range(0, len(prompts), size):
            ids, mask = (
                t.to(self.args.device)
                for t in pad_sequences(prompts[start : start + size], self.pad_id, "left")
            )
            with self.meter.phase("generate"):
                responses = self._sample(self.ref_model, ids, mask)
            with self.meter.phase("score"):
                scores.append(self._scores(*join(ids, mask, responses), responses))
        return float(torch.cat(scores).mean()) if scores else 0.0

    def _collate(self, rows: list[dict[str, list[int]]]) -> dict[str, Tensor]:
        ids, mask = pad_sequences([row["input_ids"] for row in rows], self.pad_id, "left")
        return {"prompt_ids": ids, "prompt_mask": mask}

    # --- logging

    def _record(self, metrics: dict[str, float]) -> None:
        for name, value in metrics.items():
            self._history[name].append(value)

    def _record_rollout(self, rollout: Rollout, returns: Tensor) -> None:
        mask = rollout.response_mask
        log_ratio = rollout.logprobs - rollout.ref_logprobs
        kl = masked_sum(log_ratio, mask, dim=1)
        self._record(
            {
                "objective/kl": float(kl.mean()),
                "objective/kl_exact": float(masked_sum(rollout.token_kl, mask, dim=1).mean()),
                "objective/entropy": float(masked_mean(rollout.entropy, mask)),
                "objective/scores": float(rollout.scores.mean()),
                "objective/non_score_reward": float(-self.ppo.kl_coef * kl.mean()),
                "objective/rlhf_reward": float((rollout.scores - self.ppo.kl_coef * kl).mean()),
                "val/explained_variance": float(explained_variance(rollout.values, returns, mask)),
                "val/eos_rate": float(rollout.ended.float().mean()),
                "val/response_length": float(mask.sum(1).float().mean()),
            }
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the means since the last row; drops the Trainer's norm of no gradient."""
        logs.pop("grad_norm", None)
        logs.update({name: sum(v) / len(v) for name, v in self._history.items()})
        logs["episode"] = self.state.global_step * self.ppo.local_batch_size * self.args.world_size
        self._history.clear()
        super().log(logs, start_time)

    # --- what transformers.Trainer asks for

    def get_train_dataloader(self) -> DataLoader:
        """Batches of prompts, one whole rollout each."""
        return self._get_dataloader(
            dataset=self.train_dataset,
            description="Training",
            batch_size=self.ppo.local_batch_size,
            sampler_fn=self._get_train_sampler,
            is_training=True,
        )

    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns = ["input_ids"]

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """As the Trainer's, the value model's parameters at their own learning rate."""
        optimizer = super().create_optimizer(model)
        rate = self.ppo.value_learning_rate
        if rate is not None:
            critic = {id(p) for p in self.value_model.parameters()}
            for group in list(optimizer.param_groups):
                theirs = [p for p in group["params"] if id(p) in critic]
                group["params"] = [p for p in group["params"] if id(p) not in critic]
                if theirs:
                    optimizer.add_param_group({**group, "params": theirs, "lr": rate})
        return optimizer

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        """The policy where users look for it, the value model in a folder beside."""
        directory = output_dir or self.args.output_dir
        self.policy.save_pretrained(directory)
        self.processing_class.save_pretrained(directory)
        self.value_model.save_pretrained(f"{directory}/value_model")


def _frozen(model: Any) -> Any:
    """Never trained, no dropout."""
    return model.requires_grad_(False).eval()


def _iteration_arguments(args: PPOConfig, prompts: int) -> PPOConfig:
    """The Trainer's view: one step = one iteration, so accumulation is none of its business."""
    view = copy.copy(args)
    view.gradient_accumulation_steps = 1
    view.dataloader_drop_last = True  # every rollout has the full size
    if args.max_steps <= 0:
        episodes = args.total_episodes or int(args.num_train_epochs * prompts)
        view.max_steps = math.ceil(episodes / (args.local_batch_size * args.world_size))
    return view
