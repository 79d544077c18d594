"""The best of n samples by a reward: the yardstick of the papers on learning from preferences
(Stiennon et al. 2020; Gao et al. 2023)."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rlhf_compare.models.generation import Responses, generate
from rlhf_compare.models.scoring import Scorer


def kl_bound(n: int) -> float:
    """Upper bound of KL(best of n || reference), in nats per response: log n - (n - 1)/n.

    Beirami et al. 2024, "Theoretical guarantees on the alignment of best-of-n policy", theorem 1.
    The bound holds for every reward; equal scores make the divergence smaller.
    """
    return math.log(n) - (n - 1) / n


class BestOfNSampler:
    """Answers with the sample that scores highest; of equal scores, with the first.

    Args:
        model: samples; the reference of ``kl_bound``.
        scorer: gives r(x, y).
        n: samples to each prompt.
        temperature: of the sampling, whatever temperature is asked for: the highest score among
            samples is the method, and a most likely answer is not.
    """

    def __init__(self, model: Any, scorer: Scorer, n: int, temperature: float = 1.0) -> None:
        self._model, self._scorer = model, scorer
        self.n, self.temperature = n, temperature
        self.model: Any | None = None  # no single model has this distribution
        self.kl_bound = kl_bound(n) if temperature == 1.0 else None

    def __call__(
        self,
        prompt_ids: Tensor,
        prompt_mask: Tensor,
        max_new_tokens: int,
        end_ids: Any,
        pad_id: int,
        temperature: float | None,
    ) -> Responses:
        """One response per prompt. Each of the n rounds samples one response to every prompt, so no
        batch is larger than the caller's."""
        best: Responses | None = None
        for _ in range(self.n):
            responses = generate(
                self._model, prompt_ids, prompt_mask, max_new_tokens, end_ids, pad_id,
                self.temperature,
            )  # fmt: skip
            scores = self._scorer(prompt_ids, prompt_mask, responses)
            tokens = responses.mask.sum(1)
            if best is None:
                best, highest, sampled = responses, scores, tokens
                continue
            better = scores > highest
            best = _choose(better, responses, best, pad_id)
            highest, sampled = torch.where(better, scores, highest), sampled + tokens
        assert best is not None, "n is at least 1"
        width = int(best.mask.sum(1).max())
        return Responses(best.ids[:, :width], best.mask[:, :width], best.ended, sampled)


def _choose(first: Tensor, a: Responses, b: Responses, pad_id: int) -> Responses:
    """Row by row, ``a`` where ``first`` (B,) is True and ``b`` elsewhere."""
    width = max(a.ids.shape[1], b.ids.shape[1])

    def pick(x: Tensor, y: Tensor, fill: int) -> Tensor:
        x, y = (F.pad(part, (0, width - part.shape[1]), value=fill) for part in (x, y))
        return torch.where(first.unsqueeze(1), x, y)

    return Responses(
        ids=pick(a.ids, b.ids, pad_id),
        mask=pick(a.mask, b.mask, False),
        ended=torch.where(first, a.ended, b.ended),
    )
