"""The thin layer between our stages and ``transformers.Trainer``."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PrinterCallback, ProgressCallback, TrainerCallback

from rlhf_compare.errors import StageFailedError
from rlhf_compare.runs.meter import DeviceMeter
from rlhf_compare.runs.stage import Probe


class StageTrainer:
    """Mixin, placed before a Trainer class: meters phases, stops on a NaN, replaces the printing.

    All four stages are Trainers, so this is the one place for what they share.

    Args:
        meter: charged by phase; None = one of its own.
        probe: called with the policy at every evaluation; what it returns joins the metrics.
    """

    def __init__(
        self,
        *args: Any,
        meter: DeviceMeter | None = None,
        probe: Probe | None = None,
        callbacks: Sequence[TrainerCallback] | None = None,
        **kwargs: Any,
    ) -> None:
        self.meter, self.probe = meter or DeviceMeter(), probe
        super().__init__(*args, callbacks=list(callbacks or []), **kwargs)  # type: ignore[call-arg]
        self.remove_callback(PrinterCallback)  # type: ignore[attr-defined]
        self.remove_callback(ProgressCallback)  # type: ignore[attr-defined]

    def train(self, *args: Any, **kwargs: Any) -> Any:
        with self.meter.phase("update"):
            return super().train(*args, **kwargs)  # type: ignore[misc]

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        with self.meter.phase("data"):
            return super().get_batch_samples(*args, **kwargs)  # type: ignore[misc]

    @property
    def policy(self) -> Any:
        """What trains, out of every wrapper."""
        return self.accelerator.unwrap_model(self.model)  # type: ignore[attr-defined]

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        # forked: an evaluation's loader draws a seed, and training's batches must not depend on it
        with self.meter.phase("evaluate"), torch.random.fork_rng():
            metrics = super().evaluate(*args, **kwargs)  # type: ignore[misc]
            return {**metrics, **self.probed()}

    def probed(self, prefix: str = "eval") -> dict[str, float]:
        """Ask the probe, log what it says; nothing where there is none."""
        if self.probe is None:
            return {}
        metrics = {f"{prefix}_{name}": value for name, value in self.probe(self.policy).items()}
        self.log(metrics)  # type: ignore[attr-defined]
        return metrics

    def save_model(self, *args: Any, **kwargs: Any) -> Any:
        with self.meter.phase("save"):
            return super().save_model(*args, **kwargs)  # type: ignore[misc]

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> Any:
        with self.meter.phase("save"):
            return super()._save_checkpoint(*args, **kwargs)  # type: ignore[misc]

    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss: torch.Tensor = super().training_step(model, inputs, *args, **kwargs)  # type: ignore[misc]
        self.check_finite(loss)
        return loss

    def check_finite(self, value: torch.Tensor, what: str = "loss") -> None:
        """Stop before the optimizer steps: the weights stay those of the last good step.

        Raises:
            StageFailedError: ``value`` is NaN or infinite.
        """
        finite = torch.isfinite(value)
        if not bool(finite.all()):
            bad = value[~finite].flatten()
            step = self.state.global_step  # type: ignore[attr-defined]
            raise StageFailedError(
                f"the {what} is {bad[0].item()} at step {step}: no step was taken; "
                "lower the learning rate or look at the data"
            )
