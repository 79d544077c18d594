"""PPO for a learned reward, on ``transformers.Trainer``.

One training step of the Trainer is one PPO iteration:

    collect     sample responses; score them; reference, value and old log-probabilities
    rewards     R(x, y) = r(x, y) - beta log(pi / pi_ref), spread over the tokens
    advantages  GAE, then mean removed and scaled over the whole rollout
    update      num_ppo_epochs passes of clipped policy and value losses
    log

The iteration takes its own optimizer steps and leaves no gradient. So the optimizer step of the
Trainer itself changes nothing. The Trainer provides the learning-rate schedule, the log, the
checkpoints and the resumption, all counted in iterations.

Departures from TRL 1.12's trainer, whose names these are:
 1. old log-probabilities come from a forward like the update's, not from generation: the first
    ratios are exactly 1;
 2. the score is paid on EOS, not one token after it;
 3. every statistic is over real tokens; losses are divided by the tokens of the optimizer step;
 4. logits of prompts and padding are never computed, those of the rest a tile at a time;
 5. one optimizer step per mini-batch, also with gradient accumulation;
 6. it resumes exactly, evaluates, and stops on NaN.
From Schulman et al. 2017: the value loss is clipped (Huang et al. 2024), advantages are normalised
over the rollout and not per mini-batch, and an episode is one response with its reward at the end.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

from rlhf_compare.models.adapters import AdapterBackbone
from rlhf_compare.models.scoring import RewardModel, Scorer
from rlhf_compare.ppo import checkpoint
from rlhf_compare.ppo.config import PPOConfig
from rlhf_compare.ppo.experience import Collector
from rlhf_compare.ppo.fitting import (
    open_policy,
    require_known_ids,
    require_positions,
    safe_pad_id,
    stop_tokens,
)
from rlhf_compare.ppo.kl_control import KLController
from rlhf_compare.ppo.loss import gae, token_rewards
from rlhf_compare.ppo.metrics import rollout_metrics
from rlhf_compare.ppo.model_setup import prepare_models, require_models
from rlhf_compare.ppo.models import PolicyAndValue, blend, freeze, recomputed, reference_logits
from rlhf_compare.ppo.prompts import encode_prompts
from rlhf_compare.ppo.rollout import Rollout
from rlhf_compare.ppo.sampling import SamplingTrainer
from rlhf_compare.ppo.setup import (
    encode_each,
    iteration_arguments,
    longest_prompt,
    require_one_rollout,
)
from rlhf_compare.ppo.update import Updater
from rlhf_compare.runs.resuming import is_ours
from rlhf_compare.tensors.masked import masked_whiten


class PPOTrainer(SamplingTrainer):
    """Trains ``model`` to maximise E[r(x, y)] - beta KL(pi || pi_ref).

    Arguments stand in TRL 1.12's order and under its names.

    Args:
        args: the settings.
        processing_class: the tokenizer; gives EOS and pad ids.
        model: the policy; trained in place. A directory or hub id is loaded.
        ref_model: the reference; None = a frozen copy of ``model`` as it is now, or, with adapters,
            the base with them off.
        reward_model: a :class:`ScalarHeadModel`, a sequence classifier with one label, a PEFT model
            of one, or a function of prompts and responses (lists of texts) that gives a score for
            each; never trained.
        train_dataset: prompts: column ``input_ids``, or ``prompt`` as text or conversation.
        value_model: the critic, a model as ``reward_model`` may be; None = a copy of the reward
            model, or, where that is a function, a new head on a copy of the policy's trunk.
        data_collator: makes a batch with ``input_ids`` of rows with ``input_ids``; None = our own.
        eval_dataset: prompts, or several sets by name; :meth:`evaluate` samples responses to them.
        optimizers: an optimizer and a schedule to use instead of those that ``args`` describe.
        callbacks: transformers callbacks.
        peft_config: train LoRA adapters for policy and value on ``model``, which stays frozen; a
            ``model`` that is a PEFT model already says the same.

    Raises:
        ValueError: fewer prompts than one rollout needs, an empty prompt, one that is too long for
            a model, models that share weights, an adapter that cannot be taken off.
        TypeError: a model is none of the above, or an adapter no low-rank one.
    """

    def __init__(
        self,
        args: PPOConfig,
        processing_class: PreTrainedTokenizerBase,
        model: PreTrainedModel | str | Path,
        ref_model: PreTrainedModel | None = None,
        reward_model: RewardModel | None = None,
        train_dataset: Dataset | None = None,
        value_model: Any = None,
        data_collator: Any = None,
        eval_dataset: Dataset | dict[str, Dataset] | None = None,
        optimizers: tuple[Any, Any] = (None, None),
        callbacks: Sequence[TrainerCallback] | None = None,
        peft_config: LoraConfig | None = None,
        **kwargs: Any,
    ) -> None:
        if train_dataset is None:
            raise ValueError("`train_dataset` is required")
        model = open_policy(model)
        require_models(model=model, ref_model=ref_model)
        if ref_model is model:
            raise ValueError("ref_model must not be the model that is trained; None makes a copy")
        prompts = encode_prompts(train_dataset, processing_class)
        require_one_rollout(len(prompts), args)
        require_known_ids(prompts, model)
        asked = encode_each(eval_dataset, processing_class)
        stop_ids = stop_tokens(args, processing_class, model)
        models = prepare_models(args, model, ref_model, reward_model, value_model, peft_config)
        by_argument = models.by_argument()
        require_positions(longest_prompt(prompts, *asked.values()), args, **by_argument)
        policy_and_value = PolicyAndValue(models.policy, models.value_model, models.adapters)
        super().__init__(
            ppo=args,
            pad_id=safe_pad_id(processing_class, *by_argument.values()),
            model=policy_and_value,
            args=iteration_arguments(args, len(prompts)),
            processing_class=processing_class,
            data_collator=data_collator,
            train_dataset=prompts,
            eval_dataset=asked if isinstance(eval_dataset, dict) else asked.get(""),
            optimizers=optimizers,
            callbacks=callbacks,
            **kwargs,
        )
        self.reward_model, self.ref_model = reward_model, models.reference
        self.adapters, self.stop_token_id = models.adapters, next(iter(stop_ids), None)
        self.kl_control = KLController(args.kl_coef, args.kl_target, args.kl_horizon)
        for frozen in (models.reference, models.reward_model):
            if frozen is not None:
                freeze(frozen).to(self.args.device)
        reference = reference_logits(
            models.reference,
            models.policy,
            models.adapters,
            args.ref_adapter_name,
            self.meter,
        )
        size = args.local_rollout_forward_batch_size
        scorer = Scorer(models.reward_model or reward_model, processing_class, size)
        self.collector = Collector(args, scorer, reference, stop_ids, self.pad_id, self.meter)

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
        self.meter.count(samples=len(rollout))  # episodes: more passes over them draw none
        metrics = rollout_metrics(rollout, returns, *self._penalty)
        kl = torch.tensor(metrics["objective/kl"], device=self.args.device)
        everywhere = float(self.accelerator.reduce(kl, reduction="mean"))  # one beta for all
        self.kl_control.update(everywhere, len(rollout) * self.args.world_size)
        if self.ppo.reference_ema is not None:
            blend(self.ref_model, self.policy, self.ppo.reference_ema)
        # The Trainer's own mean loss starts again at a checkpoint; this one is saved in it.
        self._record({**metrics, "loss": float(loss)})
        self._write_samples(rollout)
        return loss

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
        with recomputed(self.accelerator.unwrap_model(model)):
            return updater.run(rollout, advantages, returns)

    def _critic_parameters(self) -> list[Any]:
        model = self.accelerator.unwrap_model(self.model)
        head = [p for name, p in model.named_parameters() if not name.startswith("policy.")]
        trunk = None if model.value_model is None else model.value_model.backbone
        if isinstance(trunk, AdapterBackbone):
            return head + trunk.adapters.parameters_of(trunk.name)
        return head

    # --- checkpoints

    def _moving_reference(self) -> Any:
        return self.ref_model if self.ppo.reference_ema is not None else None

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None
    ) -> None:
        directory = Path(output_dir or self.args.output_dir)
        state = {
            "kl_coef": self.kl_control.kl_coef,
            "score_offset": self.collector.score_offset,
            "history": dict(self._history),
        }
        model = self.accelerator.unwrap_model(self.model)
        self.keep_pad_inside()
        checkpoint.save(directory, model, self._moving_reference(), state)
        self.processing_class.save_pretrained(directory)

    def memory(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        values, tensors = super().memory()
        values["kl_coef"] = self.kl_control.kl_coef
        values["score_offset"] = self.collector.score_offset
        moving = self._moving_reference()
        reference = {} if moving is None else dict(moving.named_parameters())
        return values, {**tensors, **{f"reference.{k}": p.detach() for k, p in reference.items()}}

    def remember(self, values: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        super().remember(values, tensors)
        self.kl_control.kl_coef = values["kl_coef"]
        self.collector.score_offset = values["score_offset"]
        if (moving := self._moving_reference()) is not None:
            for name, parameter in moving.named_parameters():
                parameter.copy_(tensors[f"reference.{name}"])

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if is_ours(Path(resume_from_checkpoint)):
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        unwrapped = self.accelerator.unwrap_model(self.model if model is None else model)
        state = checkpoint.load(Path(resume_from_checkpoint), unwrapped, self._moving_reference())
        self.kl_control.kl_coef = state["kl_coef"]
        self.collector.score_offset = state["score_offset"]
        self._history = defaultdict(list, state["history"])
