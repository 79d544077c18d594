"""A trainer that also samples outside of training: evaluations and samples. Its parts have the
names that TRL's scripts read."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset

from rlhf_compare.models.adapters import AdapterSwitch
from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.ppo.completions import answer, print_answers, write_answers
from rlhf_compare.ppo.experience import Collector
from rlhf_compare.ppo.iteration import IterationTrainer
from rlhf_compare.ppo.kl_control import KLController
from rlhf_compare.ppo.loss import KLEstimator
from rlhf_compare.ppo.metrics import append_samples, rollout_metrics
from rlhf_compare.ppo.rollout import Rollout
from rlhf_compare.ppo.setup import encode_each


class SamplingTrainer(IterationTrainer):
    """Samples responses outside of training as well.

    Attributes:
        collector: samples and scores.
        adapters: the policy's adapters; None = the whole policy trains.
        kl_control: beta.
    """

    collector: Collector
    adapters: AdapterSwitch | None
    kl_control: KLController

    @property
    def policy(self) -> Any:
        """The policy alone, out of every wrapper."""
        return self.accelerator.unwrap_model(self.model).policy

    # --- as TRL's scripts read them

    @property
    def value_model(self) -> ScalarHeadModel | None:
        """The critic; None where it is a head on the policy's trunk."""
        critic: ScalarHeadModel | None = self.accelerator.unwrap_model(self.model).value_model
        return critic

    @property
    def policy_model(self) -> Any:
        """The policy, under TRL's name."""
        return self.policy

    @property
    def is_peft_model(self) -> bool:
        """Whether adapters train on a frozen base."""
        return self.adapters is not None

    @property
    def dataloader(self) -> Any:
        """Batches of prompts."""
        return self.get_train_dataloader()

    # --- evaluations and samples

    @property
    def _penalty(self) -> tuple[float, KLEstimator]:
        return self.kl_control.kl_coef, self.ppo.kl_estimator

    @torch.no_grad()
    def evaluate(
        self,
        eval_dataset: Dataset | dict[str, Dataset] | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Sample responses to held-out prompts and report the rollout's metrics as
        ``eval_objective/scores`` and so on, of several sets as ``eval_<name>_objective/scores``.
        The same draws every time; training's are not moved.

        Raises:
            ValueError: there is no evaluation dataset.
        """
        dataset = self.eval_dataset if eval_dataset is None else eval_dataset
        if dataset is None:
            raise ValueError("evaluate() needs an eval_dataset of prompts")
        metrics: dict[str, float] = {}
        with self.meter.phase("evaluate"):
            for name, prompts in encode_each(dataset, self.processing_class).items():
                prefix = f"{metric_key_prefix}_{name}" if name else metric_key_prefix
                found = self._sampled(prompts["input_ids"])
                metrics |= {f"{prefix}_{metric}": value for metric, value in found.items()}
            self.log(metrics)
            metrics.update(self.probed(metric_key_prefix))
        handler: Any = self.callback_handler
        self.control: Any = handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _sampled(self, prompts: list[list[int]]) -> dict[str, float]:
        """The metrics of one sampled response a prompt."""
        sums: dict[str, float] = defaultdict(float)
        size = self.args.per_device_eval_batch_size
        with torch.random.fork_rng():
            torch.manual_seed(self.args.seed)
            for start in range(0, len(prompts), size):
                rows = [{"input_ids": ids} for ids in prompts[start : start + size]]
                batch = self._prepare_inputs(self._collate(rows))
                rollout = self.collector.collect(self.model, self.policy, **batch)
                for name, value in rollout_metrics(rollout, None, *self._penalty).items():
                    sums[name] += value * len(rollout)
        return {name: total / len(prompts) for name, total in sums.items()}

    def generate_completions(self, sampling: bool = False) -> None:
        """Answer the evaluation prompts greedily (where there are none, the training prompts of one
        rollout), print the answers as a table and write them to ``samples.jsonl``.

        Args:
            sampling: one batch is enough, as TRL asks between two steps of training.
        """
        sets = encode_each(self.eval_dataset, self.processing_class)
        prompts = [ids for part in sets.values() for ids in part["input_ids"]]
        prompts = prompts or self.train_dataset[: self.ppo.episodes_per_process]["input_ids"]
        size, step = self.args.per_device_eval_batch_size, self.state.global_step
        rows: list[dict[str, Any]] = []
        with torch.random.fork_rng(), self.meter.phase("evaluate"):
            for start in range(0, size if sampling else len(prompts), size):
                part = [{"input_ids": ids} for ids in prompts[start : start + size]]
                batch = self._prepare_inputs(self._collate(part))
                rows += answer(self.collector, self.policy, batch, self.processing_class, step)
        if self.is_world_process_zero():
            print_answers(rows)
            write_answers(self._samples_file, rows)

    @property
    def _samples_file(self) -> Path:
        return Path(self.args.output_dir) / "samples.jsonl"

    def _write_samples(self, rollout: Rollout) -> None:
        """A few responses as text, ``num_sample_generations`` times a run."""
        wanted, step = self.ppo.num_sample_generations, self.state.global_step
        due = wanted and step % max(1, self.state.max_steps // wanted) == 0
        if due and self.is_world_process_zero():
            append_samples(self._samples_file, rollout, self.processing_class, step)
