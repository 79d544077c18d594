"""What the evaluation needs of a policy: answers and, if it is one model, its logits."""

from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from rlhf_compare.models.generation import Responses, generate
from rlhf_compare.models.policy import load_policy


class Sampler(Protocol):
    """A policy that can be sampled from.

    Attributes:
        model: the causal language model whose distribution the answers are drawn from; None where
            no single model has that distribution, so that nothing can be computed from logits.
        kl_bound: upper bound of KL(policy || reference) in nats per response; None = not known.
    """

    model: Any | None
    kl_bound: float | None

    def __call__(
        self,
        prompt_ids: Tensor,
        prompt_mask: Tensor,
        max_new_tokens: int,
        end_ids: Any,
        pad_id: int,
        temperature: float | None,
    ) -> Responses:
        """One response per prompt; see :func:`rlhf_compare.models.generation.generate`. A policy
        that has no most likely answer samples one where ``temperature`` is None."""
        ...


class ModelSampler:
    """A policy that is one causal language model."""

    kl_bound: float | None = None

    def __init__(self, model: Any) -> None:
        self.model: Any | None = model

    def __call__(
        self,
        prompt_ids: Tensor,
        prompt_mask: Tensor,
        max_new_tokens: int,
        end_ids: Any,
        pad_id: int,
        temperature: float | None,
    ) -> Responses:
        """One response per prompt."""
        return generate(
            self.model, prompt_ids, prompt_mask, max_new_tokens, end_ids, pad_id, temperature
        )


def load_model_sampler(directory: Path, device: str) -> Sampler:
    """The model that a stage left in its run directory."""
    return ModelSampler(load_policy(directory / "model").to(device))
