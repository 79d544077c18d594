"""PPO for a learned reward, on ``transformers.Trainer``.

One training step of the Trainer is one PPO iteration:

    collect     sample responses; score them; reference, value and old log-probabilities
    rewards     R(x, y) = r(x, y) - beta log(pi / pi_ref), spread over the tokens
    advantages  GAE, then mean removed and scaled over the whole rollout
    update      num_ppo_epochs passes of clipped policy and value losses
    log

The optimizer steps inside the iteration are ours; afterwards no gradient is left, so the one that
the Trainer takes changes nothing and what remains of it is its learning-rate schedule, its log,
its checkpoints and its resumption, all counted in iterations.

Departures from TRL 1.12's trainer, whose names these are:
 1. old log-probabilities come from a forward like the update's, not from generation: the first
    ratios are exactly 1;
 2. the score is paid on EOS, not one token after it;
 3. every statistic is over real tokens; losses are divided by the tokens of the optimizer step;
 4. logits of prompts and padding are never computed, and none are kept;
 5. one optimizer step per mini-batch, also with gradient accumulation;
 6. it resumes exactly, evaluates, and stops on NaN.
From Schulman et al. 2017: the value loss is clipped (Huang et al. 2024), advantages are normalised
over the rollout and not per mini-batch, and an episode is one response with its reward at the end.
"""

import copy
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

from rlhf_compare.models.adapters import VALUE, Hats
from rlhf_compare.models.fit import padding_id
from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.models.policy import disable_dropout, fuse_activations
from rlhf_compare.models.scoring import RewardModel, Scorer, as_scalar_head
from rlhf_compare.ppo import checkpoint
from rlhf_compare.ppo.config import PPOConfig
from rlhf_compare.ppo.experience import Collector
from rlhf_compare.ppo.fitting import open_policy, require_fit, stop_tokens
from rlhf_compare.ppo.iteration import IterationTrainer
from rlhf_compare.ppo.kl_control import KLController
from rlhf_compare.ppo.loss import KLEstimator, gae, token_rewards
from rlhf_compare.ppo.metrics import append_samples, rollout_metrics
from rlhf_compare.ppo.models import PolicyAndValue, blend, freeze
from rlhf_compare.ppo.prompts import encode_prompts
from rlhf_compare.ppo.rollout import Rollout
from rlhf_compare.ppo.setup import (
    adapters_of,
    is_causal,
    iteration_arguments,
    new_critic,
    require_one_rollout,
)
from rlhf_compare.ppo.update import Updater
from rlhf_compare.tensors.masked import masked_whiten


class PPOTrainer(IterationTrainer):
    """Trains ``model`` to maximise E[r(x, y)] - beta KL(pi || pi_ref).

    Args:
        args: the settings.
        processing_class: the tokenizer; gives EOS and pad ids.
        model: the policy; trained in place. A directory or hub id is loaded.
        ref_model: the reference; None = a frozen copy of ``model`` as it is now, or, with adapters,
            the base with them off.
        reward_model: a :class:`ScalarHeadModel`, a sequence classifier with one label, or a
            function of prompts and responses (lists of texts) that gives a score for each; never
            trained.
        value_model: the critic; None = a copy of the reward model, or, where that is a function, a
            new head on a copy of the policy's trunk.
        train_dataset: prompts: column ``input_ids``, or ``prompt`` as text or conversation.
        eval_dataset: likewise; :meth:`evaluate` samples responses to it.
        peft_config: train LoRA adapters for policy and value on ``model``, which stays frozen; a
            ``model`` that is a PEFT model with an adapter "policy" already says the same.
        callbacks: transformers callbacks.

    Raises:
        ValueError: fewer prompts than one rollout needs, or an empty prompt.
        TypeError: ``reward_model`` is none of the above.
    """

    def __init__(
        self,
        *,
        args: PPOConfig,
        processing_class: PreTrainedTokenizerBase,
        model: PreTrainedModel | str | Path,
        ref_model: PreTrainedModel | None = None,
        reward_model: RewardModel,
        value_model: ScalarHeadModel | None = None,
        train_dataset: Dataset,
        eval_dataset: Dataset | None = None,
        peft_config: LoraConfig | None = None,
        callbacks: Sequence[TrainerCallback] | None = None,
        **kwargs: Any,
    ) -> None:
        if ref_model is model:
            raise ValueError("ref_model must not be the model that is trained; None makes a copy")
        model = open_policy(model)
        prompts = encode_prompts(train_dataset, processing_class)
        require_one_rollout(len(prompts), args)
        stop_ids = stop_tokens(args.stop_token_id, processing_class, model)
        require_fit(prompts, args.response_length, model)
        self.ppo, self.pad_id = args, padding_id(processing_class, model)
        self.hats = adapters_of(model, peft_config)
        if self.hats is not None:
            model = self.hats.model
        self.ref_model: Any = None
        if ref_model is not None or self.hats is None:
            self.ref_model = freeze(ref_model or copy.deepcopy(model))
        if value_model is None and args.value_trunk == "separate":
            value_model = new_critic(reward_model, model, self.hats)
        for part in (model, self.ref_model, value_model, as_scalar_head(reward_model)):
            if part is not None:
                disable_dropout(part)
                fuse_activations(part)
        if value_model is not None and not is_causal(value_model):
            raise ValueError("value_model: its values see the tokens after them; give a causal one")
        if value_model is not None:
            value_model.requires_grad_(True)  # a copy of a frozen reward model may not be
        if self.hats is not None and args.reference_ema is not None:
            raise ValueError("reference_ema moves a copy of the whole policy; leave adapters out")
        self.kl_control = KLController(args.kl_coef, args.kl_target, args.kl_horizon)
        super().__init__(
            model=PolicyAndValue(model, value_model),
            args=iteration_arguments(args, len(prompts)),
            processing_class=processing_class,
            train_dataset=prompts,
            eval_dataset=None
            if eval_dataset is None
            else encode_prompts(eval_dataset, processing_class),
            callbacks=callbacks,
            **kwargs,
        )
        scorer = Scorer(reward_model, processing_class, args.local_rollout_forward_batch_size)
        for frozen in (self.ref_model, scorer.model):
            if frozen is not None:
                freeze(frozen).to(self.args.device)
        self.collector = Collector(args, scorer, self._reference, stop_ids, self.pad_id, self.meter)

    @property
    def policy(self) -> Any:
        """The policy alone, out of every wrapper."""
        return self.accelerator.unwrap_model(self.model).policy

    def _reference(self) -> AbstractContextManager[Any]:
        plain_head = self.accelerator.unwrap_model(self.model).plain_head
        if self.ref_model is not None or self.hats is None:
            return nullcontext((self.ref_model, plain_head))
        return self._adapters_off(self.hats, plain_head)

    @contextmanager
    def _adapters_off(self, hats: Hats, plain_head: bool) -> Iterator[Any]:
        with hats.wear(None) as base:
            yield base, plain_head

    # --- one PPO iteration

    def training_step(self, model: Any, inputs: dict[str, Tensor], *_: Any, **__: Any) -> Tensor:
        """Collect, reward, estimate advantages, update, log. Returns the mean loss."""
        inputs = self._prepare_inputs(inputs)
        if self.collector.score_offset is None:
            asked = self.train_dataset[: self.ppo.center_scores_on]["input_ids"]
            self.collector.center(asked, self.args.device)
        with self.accelerator.autocast():
            rollout = self.collector.collect(model, self.policy, **inputs)
        rewards = self._rewards(rollout)
        advantages, returns = gae(
            rewards, rollout.values, rollout.response_mask, self.ppo.gamma, self.ppo.lam
        )
        loss = self._update(
            model, rollout, masked_whiten(advantages, rollout.response_mask), returns
        )
        metrics = rollout_metrics(rollout, returns, *self._penalty)
        kl = torch.tensor(metrics["objective/kl"], device=self.args.device)
        everywhere = float(self.accelerator.reduce(kl, reduction="mean"))  # one beta for all
        self.kl_control.update(everywhere, len(rollout) * self.args.world_size)
        if self.ppo.reference_ema is not None:
            blend(self.ref_model, self.policy, self.ppo.reference_ema)
        # the Trainer's own mean loss forgets what came before a checkpoint; this one is saved
        self._record({**metrics, "loss": float(loss)})
        self._write_samples(rollout)
        return loss

    @property
    def _penalty(self) -> tuple[float, KLEstimator]:
        return self.kl_control.kl_coef, self.ppo.kl_estimator

    def _rewards(self, rollout: Rollout) -> Tensor:
        """Reward of every token: (B, R)."""
        self.check_finite(rollout.scores, "reward")
        self.check_finite(rollout.logprobs, "log-probability")
        self.check_finite(rollout.ref_logprobs, "reference log-probability")
        self.check_finite(rollout.values, "value")
        rewards = token_rewards(
            rollout.scores,
            rollout.logprobs,
            rollout.ref_logprobs,
            rollout.response_mask,
            *self._penalty,
        )
        if self.ppo.whiten_rewards:
            return masked_whiten(rewards, rollout.response_mask, shift_mean=False)
        return rewards

    def _update(self, model: Any, rollout: Rollout, advantages: Tensor, returns: Tensor) -> Tensor:
        updater = Updater(
            self.ppo,
            model=model,
            optimizer=self.optimizer,
            accelerator=self.accelerator,
            check_finite=self.check_finite,
            record=self._record,
            count=self.meter.count,
            train_policy=self.state.global_step >= self.ppo.critic_warmup_steps,
        )
        return updater.run(rollout, advantages, returns)

    # --- evaluation and logging

    @torch.no_grad()
    def evaluate(
        self,
        eval_dataset: Dataset | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Sample responses to held-out prompts and report the rollout's metrics as
        ``eval_objective/scores`` and so on. The same draws every time; training's are not moved.

        Raises:
            ValueError: there is no evaluation dataset.
        """
        dataset = self.eval_dataset if eval_dataset is None else eval_dataset
        if dataset is None:
            raise ValueError("evaluate() needs an eval_dataset of prompts")
        prompts = encode_prompts(dataset, self.processing_class)["input_ids"]
        model, rows = self.model, 0
        sums: dict[str, float] = defaultdict(float)
        with torch.random.fork_rng(), self.meter.phase("evaluate"):
            torch.manual_seed(self.args.seed)
            for start in range(0, len(prompts), self.args.per_device_eval_batch_size):
                part = prompts[start : start + self.args.per_device_eval_batch_size]
                batch = self._prepare_inputs(self._collate([{"input_ids": ids} for ids in part]))
                rollout = self.collector.collect(model, self.policy, **batch)
                for name, value in rollout_metrics(rollout, None, *self._penalty).items():
                    sums[name] += value * len(rollout)
                rows += len(rollout)
            metrics = {f"{metric_key_prefix}_{name}": total / rows for name, total in sums.items()}
            self.log(metrics)
            metrics.update(self.probed(metric_key_prefix))
        handler: Any = self.callback_handler
        self.control: Any = handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _write_samples(self, rollout: Rollout) -> None:
        """A few responses as text, ``num_sample_generations`` times a run."""
        wanted, step = self.ppo.num_sample_generations, self.state.global_step
        due = wanted and step % max(1, self.state.max_steps // wanted) == 0
        if due and self.is_world_process_zero():
            path = Path(self.args.output_dir) / "samples.jsonl"
            append_samples(path, rollout, self.processing_class, step)

    def _critic_parameters(self) -> list[Any]:
        model = self.accelerator.unwrap_model(self.model)
        head = [p for name, p in model.named_parameters() if not name.startswith("policy.")]
        return head + (self.hats.parameters_of(VALUE) if self.hats is not None else [])

    # --- checkpoints

    def _moving_reference(self) -> Any:
        return self.ref_model if self.ppo.reference_ema is not None else None

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        directory = Path(output_dir or self.args.output_dir)
        state = {
            "kl_coef": self.kl_control.kl_coef,
            "score_offset": self.collector.score_offset,
            "history": dict(self._history),
        }
        model = self.accelerator.unwrap_model(self.model)
        checkpoint.save(directory, model, self._moving_reference(), state)
        self.processing_class.save_pretrained(directory)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        unwrapped = self.accelerator.unwrap_model(self.model if model is None else model)
        state = checkpoint.load(Path(resume_from_checkpoint), unwrapped, self._moving_reference())
        self.kl_control.kl_coef = state["kl_coef"]
        self.collector.score_offset = state["score_offset"]
        self._history = defaultdict(list, state["history"])
