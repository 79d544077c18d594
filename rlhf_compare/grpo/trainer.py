"""TRL's GRPOTrainer on our token ids and our reward model.

What it adds to TRL's:
 1. Prompts arrive encoded, as every other method reads them; TRL would tokenise a text again.
 2. The reward model scores token ids, the end token included, as it was trained to.
 3. A response ends where every other method's responses end.
 4. Positions count real tokens. TRL 1.16 pads prompts on the left and gives the forward no
    positions, so that a model with learnt positions, as GPT-2, samples at one position and is
    trained at another.
 5. Generation, scores and the reference are metered apart, and an interrupted run goes on.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor
from trl import GRPOTrainer

from rlhf_compare.data.turns import turn_ends
from rlhf_compare.models.adapter_trial import adapter_fault, short_logits, undisturbed
from rlhf_compare.models.adapters import AdapterSwitch, require_lora
from rlhf_compare.models.generation import Responses, mask_after_end
from rlhf_compare.models.policy import disable_dropout, fuse_activations
from rlhf_compare.models.scoring import Scorer
from rlhf_compare.models.stepping import reads_left_padding
from rlhf_compare.runs.trainer import StageTrainer
from rlhf_compare.tensors.padding import pad_sequences, positions

_BUFFER = "buffer"


class EncodedGRPOTrainer(StageTrainer, GRPOTrainer):
    """GRPOTrainer that takes prompts as token ids: a column ``prompt`` of lists.

    Args:
        model: the policy, loaded from a directory, from which TRL loads the reference again where
            ``beta`` is above 0.
        reward_model: see :class:`rlhf_compare.models.scoring.Scorer`.
        peft_config: of low-rank adapters on ``model``, which with them off is the reference.

    Raises:
        TypeError: adapters of another kind.
        ValueError: adapters that cannot be taken off, and what TRL's trainer refuses.
    """

    def __init__(
        self,
        model: Any,
        reward_model: Any,
        args: Any,
        *,
        processing_class: Any,
        peft_config: Any = None,
        **kwargs: Any,
    ) -> None:
        before = None
        if peft_config is not None:
            require_lora(peft_config)
            with undisturbed(model):
                before = short_logits(model)
        self.end_ids = turn_ends(processing_class, model)
        model.generation_config.eos_token_id = list(self.end_ids)  # TRL reads them there
        scorer = Scorer(reward_model, processing_class, args.per_device_train_batch_size)
        super().__init__(
            model=model,
            reward_funcs=_reward_function(scorer, self.end_ids, processing_class.pad_token_id),
            args=args,
            processing_class=processing_class,
            peft_config=peft_config,
            **kwargs,
        )
        for part in (self.model, self.ref_model):
            if part is not None:
                if self.args.disable_dropout:  # TRL's switch finds modules alone
                    disable_dropout(part)
                fuse_activations(part)
        if before is not None and (
            fault := adapter_fault(AdapterSwitch(self.model, "default"), "default", before)
        ):
            raise ValueError(f"peft_config: {fault}")

    # --- our token ids in, our scores out

    def _tokenize_prompts(
        self, prompts: list[list[int]]
    ) -> tuple[list[list[int]], None, dict[str, Any]]:
        return [list(ids) for ids in prompts], None, {}

    def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
        with self.meter.phase("generate"):
            sampled_ids, logprobs = super()._generate_single_turn(*args, **kwargs)
            self.meter.count(generated=sum(map(len, sampled_ids)))
        return sampled_ids, logprobs

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> Tensor:
        with self.meter.phase("score"):
            rewards: Tensor = super()._calculate_rewards(*args, **kwargs)
            self.check_finite(rewards, "reward")
        return rewards

    # --- the forward

    def _get_per_token_logps_and_entropies(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        def with_positions(**inputs: Any) -> Any:
            return model(**inputs, position_ids=positions(inputs["attention_mask"]))

        plain = self.accelerator.unwrap_model(model)
        forward = with_positions if reads_left_padding(plain) else model
        ask: Callable[..., Any] = super()._get_per_token_logps_and_entropies
        if torch.is_grad_enabled():
            return ask(forward, *args, **kwargs)
        with self.meter.phase("reference" if self._is_reference(model) else "score"):
            return ask(forward, *args, **kwargs)

    def _is_reference(self, model: Any) -> bool:
        """The frozen copy, or the policy with its adapters off."""
        layers = (part for part in model.modules() if isinstance(part, BaseTunerLayer))
        return model is self.ref_model or any(layer.disable_adapters for layer in layers)

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        if self.model.training:
            real = inputs["prompt_mask"].sum() + inputs["completion_mask"].sum()
            self.meter.count(trained=int(real))
        loss: Tensor = super()._compute_loss(model, inputs)
        return loss

    def samples_in(self, inputs: Any) -> int:
        """Episodes, each once: later passes over the same samples draw none. TRL has counted the
        step up by now."""
        place = (self._step - 1) % (self.args.steps_per_generation * self.num_iterations)
        first_pass = place < self.args.steps_per_generation
        return int(self.args.per_device_train_batch_size) if first_pass else 0

    # --- going on after an interruption

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Any:
        self._sampler = super()._get_train_sampler(*args, **kwargs)
        return self._sampler

    def epoch_begins(self, epoch: int, batches: int) -> None:
        """TRL's sampler draws each epoch's order from a generator of its own, which a run that goes
        on would begin anew; so the order depends on the epoch's number instead."""
        if self.shuffle_dataset:
            self._sampler.generator.manual_seed(self.args.seed + epoch)

    def memory(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """TRL's own step counter, the entropy bonus, and the samples that are not used up yet."""
        values, tensors = super().memory()
        values["grpo"] = [self._step, self.entropy_coef, self._last_world_entropy]
        if self._step % (self.args.steps_per_generation * self.num_iterations):
            for index, part in enumerate(self._buffered_inputs or ()):
                for name, value in part.items():
                    tensors[f"{_BUFFER}.{index}.{name}"] = value.clone()
        return values, tensors

    def remember(self, values: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        super().remember(values, tensors)
        self._step, self.entropy_coef, self._last_world_entropy = values["grpo"]
        parts: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            kind, index, key = name.split(".")
            if kind == _BUFFER:
                parts.setdefault(int(index), {})[key] = value.to(self.accelerator.device)
        self._buffered_inputs = [parts[index] for index in sorted(parts)] or None


def _reward_function(scorer: Scorer, end_ids: Sequence[int], pad_id: int) -> Callable[..., Any]:
    """The scorer as TRL calls a reward: on lists of token ids."""

    def reward(prompts: list[list[int]], completion_ids: list[list[int]], **_: Any) -> list[float]:
        device = "cpu" if scorer.model is None else scorer.model.head.weight.device
        prompt_ids, prompt_mask = (t.to(device) for t in pad_sequences(prompts, pad_id, "left"))
        sampled_ids, mask = (t.to(device) for t in pad_sequences(completion_ids, pad_id, "right"))
        ended = mask_after_end(sampled_ids, end_ids).ended
        scores: list[float] = scorer(
            prompt_ids, prompt_mask, Responses(sampled_ids, mask, ended)
        ).tolist()
        return scores

    return reward
