"""The harness on a few held-out prompts while a method trains: loss and reward alone mislead."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from rlhf_compare.data.config import TaskConfig
from rlhf_compare.evaluation.config import EvaluationConfig
from rlhf_compare.evaluation.measure import Harness
from rlhf_compare.metrics import PROBED
from rlhf_compare.models.policy import load_policy
from rlhf_compare.models.sampler import ModelSampler
from rlhf_compare.models.tokenizer import load_tokenizer


class Probe:
    """Call it with a policy: ``{"adoption_exact": ..., "kl_exact": ..., "efficiency": ...}``.

    Shares and nats per response, means over the prompts, one sample each; ``base_rate`` is the
    reference's exact adoption on these prompts, where the run began. The reference is loaded at the
    first call, so that whoever meters the call meters that too.

    Args:
        sft_model: directory of the reference.
        prompts: token ids.
        seed: of the sampling; the same at every call, so that two calls differ by the policy alone.
    """

    def __init__(
        self,
        config: EvaluationConfig,
        task: TaskConfig,
        sft_model: Path,
        prompts: Sequence[list[int]],
        seed: int,
    ) -> None:
        self.config = config.model_copy(update={"samples_per_prompt": 1})
        self.task, self.sft_model, self.prompts, self.seed = task, sft_model, prompts, seed

    @cached_property
    def _harness(self) -> Harness:
        return Harness(
            reference=load_policy(self.sft_model).eval(),
            scorers={},
            tokenizer=load_tokenizer(self.sft_model),
            task=self.task,
            config=self.config,
        )

    def __call__(self, policy: Any) -> dict[str, float]:
        """Measure ``policy`` where it is; its mode and the caller's draws stay as they were."""
        reference = self._harness.reference.to(policy.device)
        columns = self._harness.measure(ModelSampler(policy), self.prompts, self.seed).per_prompt
        reference.to("cpu")  # training has the device to itself between two calls
        numbers = {m.probe: columns[m.path] for m in PROBED if m.path in columns}
        means = {name: fmean(v for v in of if v is not None) for name, of in numbers.items()}
        if "base_rate" in columns:
            means["base_rate"] = fmean(v for v in columns["base_rate"] if v is not None)
        if means.get("kl_exact", 0.0) > 0.0 and "kl_floor" in means:
            means["efficiency"] = means["kl_floor"] / means["kl_exact"]
        return means
