"""The thin layer between our stages and ``transformers.Trainer``."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import (
    PrinterCallback,
    ProgressCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from rlhf_compare.errors import StageFailedError
from rlhf_compare.models.fit import float32_where_trained, in_one_precision
from rlhf_compare.runs.batches import shuffled
from rlhf_compare.runs.checkpoints import Checkpoints
from rlhf_compare.runs.complexity import code_behind, models_held
from rlhf_compare.runs.context import Probe
from rlhf_compare.runs.meter import DeviceMeter
from rlhf_compare.runs.resumable import ResumableTrainer


class StageTrainer(ResumableTrainer):
    """Mixin, placed before a Trainer class: meters phases, stops on a NaN, replaces the printing,
    and goes on from a checkpoint of an interrupted run.

    All four stages are Trainers, so this is the one place for what they share.

    Args:
        meter: charged by phase; None = one of its own.
        probe: called with the policy at every evaluation; what it returns joins the metrics.
        checkpoints: where interrupted runs go on from; None = the Trainer's own alone.
    """

    def __init__(
        self,
        *args: Any,
        meter: DeviceMeter | None = None,
        probe: Probe | None = None,
        checkpoints: Checkpoints | None = None,
        callbacks: Sequence[TrainerCallback] | None = None,
        **kwargs: Any,
    ) -> None:
        self.meter, self.probe = meter or DeviceMeter(), probe
        self._prepare_to_resume(checkpoints)
        model, reference = kwargs.get("model", args[0] if args else None), kwargs.get("ref_model")
        if isinstance(model, torch.nn.Module) and kwargs.get("peft_config") is None:
            float32_where_trained(model)
            if isinstance(reference, torch.nn.Module):
                in_one_precision(model, reference)
        super().__init__(*args, callbacks=list(callbacks or []), **kwargs)
        float32_where_trained(self.model)  # adapters that were put on, a model from its path
        if self.args.max_grad_norm is None:  # no clipping, which the Trainer knows as 0
            self.args.max_grad_norm = 0.0
        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)
        if probe is not None:
            self.add_callback(_Start(self))

    def train(self, *args: Any, **kwargs: Any) -> Any:
        with self.meter.phase("update"):
            output = super().train(*args, **kwargs)
            self.meter.complexity = {"models": models_held(self), "lines": code_behind(self)}
            self.check_policy()
            return output

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        with self.meter.phase("data"):
            return super().get_batch_samples(*args, **kwargs)

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Any:
        return shuffled(super()._get_train_sampler(*args, **kwargs))

    @property
    def policy(self) -> Any:
        """What trains, out of every wrapper."""
        return self.accelerator.unwrap_model(self.model)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        # forked: an evaluation's loader draws a seed, and training's batches must not depend on it
        with self.meter.phase("evaluate"), torch.random.fork_rng():
            metrics = super().evaluate(*args, **kwargs)
            return {**metrics, **self.probed()}

    def probed(self, prefix: str = "eval") -> dict[str, float]:
        """Ask the probe, log what it says; nothing where there is none.

        Raises:
            StageFailedError: the policy, or what it answers, is not finite.
        """
        if self.probe is None:
            return {}
        self.check_policy()
        try:
            measured = self.probe(self.policy)
        except ValueError as error:
            if "nan" not in str(error).lower():
                raise
            raise self._broken(math.nan, str(error)) from error
        for name, value in measured.items():
            if not math.isfinite(value):
                raise self._broken(value, name)
        metrics = {f"{prefix}_{name}": value for name, value in measured.items()}
        self.log({**metrics, **self.spent(prefix)})
        return metrics

    def spent(self, prefix: str = "eval") -> dict[str, float]:
        """What the run took up to now: device seconds of this stage without evaluations, and
        samples; without samples where the trainer does not count them."""
        samples = self.meter.samples * self.args.world_size
        counted = {f"{prefix}_samples": samples} if samples or not self.state.global_step else {}
        return {f"{prefix}_seconds": self.meter.held(), **counted}

    def samples_in(self, inputs: Any) -> int:
        """How many samples a gradient is made of, asked after the step: pairs, episodes or
        demonstrations, each as often as it was drawn. 0 = this trainer counts none."""
        return 0

    def save_model(self, *args: Any, **kwargs: Any) -> Any:
        with self.meter.phase("save"):
            return super().save_model(*args, **kwargs)

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> Any:
        with self.meter.phase("save"):
            return super()._save_checkpoint(*args, **kwargs)

    # --- nothing that is not finite reaches the weights

    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Tensor:
        loss: Tensor = super().training_step(model, inputs, *args, **kwargs)
        self.check_finite(loss)
        self.meter.count(samples=self.samples_in(inputs))
        return loss

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        """The Trainer asks for it before every optimizer step, whether or not it clips."""
        norm = super()._get_grad_norm(model, grad_norm)
        scaled = getattr(self.accelerator, "scaler", None) is not None
        if norm is not None and not scaled:  # fp16's loss scaler skips such a step itself
            self.check_finite(torch.as_tensor(norm), "gradient norm")
        return norm

    def check_finite(self, value: Tensor, what: str = "loss") -> None:
        """Stop before the optimizer steps: the weights stay those of the last good step.

        Raises:
            StageFailedError: ``value`` is NaN or infinite.
        """
        finite = torch.isfinite(value)
        if not bool(finite.all()):
            bad = value[~finite].flatten()
            raise StageFailedError(
                f"the {what} is {bad[0].item()} at step {self.state.global_step}: no step was "
                "taken; lower the learning rate or look at the data"
            )

    @torch.no_grad()
    def check_policy(self) -> None:
        """Whether the weights can be measured and saved.

        Raises:
            StageFailedError: a weight is NaN or infinite.
        """
        for name, weight in self.policy.named_parameters():
            if weight.requires_grad and not bool(torch.isfinite(weight).all()):
                bad = weight[~torch.isfinite(weight)].flatten()[0].item()
                raise self._broken(bad, name)

    def _broken(self, value: float, where: str) -> StageFailedError:
        what = "NaN" if math.isnan(value) else "infinite"
        return StageFailedError(
            f"the policy is {what} at step {self.state.global_step} ({where}); "
            "lower the learning rate or clip gradients by max_grad_norm"
        )


class _Start(TrainerCallback):
    """Logs what a run had spent before its first step: where its curve begins."""

    def __init__(self, trainer: StageTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if state.global_step == 0:
            self._trainer.log(self._trainer.spent())
