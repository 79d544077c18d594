"""Collecting a rollout: sample responses, score them, and compute log-probabilities and values."""

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from rlhf_compare.models.generation import Responses, generate
from rlhf_compare.models.scoring import Scorer
from rlhf_compare.models.tiles import TokenLogits
from rlhf_compare.ppo.config import PPOConfig
from rlhf_compare.ppo.rollout import Rollout, Window, window
from rlhf_compare.runs.meter import DeviceMeter
from rlhf_compare.tensors.padding import micro_batches, pad_sequences, to_the_left

_COLUMNS = ("logprobs", "ref_logprobs", "values", "token_kl", "entropy")


class Collector:
    """Turns prompts into a :class:`Rollout`.

    Args:
        scorer: gives r(x, y).
        reference: the reference's logits; of a policy with adapters, those with the adapters off.
        stop_ids, pad_id: what ends a response, what fills the rest.
    """

    def __init__(
        self,
        config: PPOConfig,
        scorer: Scorer,
        reference: TokenLogits,
        stop_ids: Collection[int],
        pad_id: int,
        meter: DeviceMeter,
    ) -> None:
        self.config, self.scorer, self.meter = config, scorer, meter
        self.reference, self.stop_ids, self.pad_id = reference, stop_ids, pad_id
        self.score_offset: float | None = None  # see center

    @torch.no_grad()
    def collect(self, model: Any, policy: Any, prompt_ids: Tensor, prompt_mask: Tensor) -> Rollout:
        """Sample a response to every prompt, and compute everything that the losses need.

        Args:
            model: policy and value, wrapped as the update will call it.
            policy: the policy itself, to sample from.
            prompt_ids, prompt_mask: (B, P), left-padded.
        """
        responses = self.sample(policy, prompt_ids, prompt_mask)
        scores = self.score(prompt_ids, prompt_mask, responses) - (self.score_offset or 0.0)
        sequences, real = to_the_left(
            torch.cat([prompt_ids, responses.ids], dim=1),
            torch.cat([prompt_mask, responses.mask], dim=1),
        )
        lengths, starts = real.sum(1).cpu(), prompt_mask.sum(1)
        place = torch.arange(sequences.shape[1], device=sequences.device)
        predicted = real & (place >= starts.unsqueeze(1))
        columns = {name: torch.zeros(responses.mask.shape, device=real.device) for name in _COLUMNS}
        # The first epoch of the update uses the same micro-batches. Equal batches give bit-equal
        # log-probabilities, so its first ratios are exactly 1.
        for part in torch.arange(len(lengths)).split(self.config.local_mini_batch_size):
            for rows in micro_batches(lengths, part, self.config.per_device_train_batch_size):
                cut = window(sequences, lengths, predicted, rows)
                self._fill_columns(model, cut, responses.mask[rows], columns)
        return Rollout(
            sequences=sequences,
            lengths=lengths,
            predicted=predicted,
            response_mask=responses.mask,
            ended=responses.ended,
            scores=scores,
            **columns,
        )

    def _fill_columns(
        self,
        model: Any,
        cut: Window,
        response_mask: Tensor,
        columns: dict[str, Tensor],
    ) -> None:
        """Fill in the per-token columns of the rows in ``cut``, whose mask is ``response_mask``:
        (b, R)."""
        temperature = self.config.temperature
        model.eval()  # before the reference, which may be the same model without its adapters
        with self.meter.phase("score"):  # inside, the reference's part is charged to itself
            reference = self.reference.of(cut.sequences, cut.predicted, temperature)
            found = model(cut.sequences, cut.predicted, temperature, reference=reference)
            for name, column in columns.items():
                flat = getattr(found, name)
                block = torch.zeros(response_mask.shape, device=flat.device)
                block[response_mask] = flat.float()
                column[cut.rows] = block

    def sample(self, policy: Any, prompt_ids: Tensor, prompt_mask: Tensor) -> Responses:
        """One response a prompt."""
        config = self.config
        with self.meter.phase("generate"):
            responses = generate(
                policy, prompt_ids, prompt_mask, config.response_length, self.stop_ids,
                self.pad_id, config.temperature,
            )  # fmt: skip
            self.meter.count(generated=int(responses.mask.sum()))
        return responses

    def center(self, prompts: Sequence[list[int]], device: Any) -> None:
        """From now on, subtract the mean score of the reference's own responses from every score,
        so that a policy that did not change has a mean score of 0. Without prompts, subtract 0."""
        scores, size = [], self.config.local_rollout_forward_batch_size
        for start in range(0, len(prompts), size):
            part = pad_sequences(prompts[start : start + size], self.pad_id, "left")
            ids, mask = (t.to(device) for t in part)
            with self.reference.inside():
                responses = self.sample(self.reference.model, ids, mask)
            scores.append(self.score(ids, mask, responses))
        self.score_offset = float(torch.cat(scores).mean()) if scores else 0.0

    def score(self, prompt_ids: Tensor, prompt_mask: Tensor, responses: Responses) -> Tensor:
        """r(x, y), less the penalty where EOS is missing: (B,). A response without EOS is scored at
        its last token; the penalty is the only other difference."""
        with self.meter.phase("score"):
            scores = self.scorer(prompt_ids, prompt_mask, responses)
            penalty = self.config.missing_eos_penalty or 0.0
            return torch.where(responses.ended, scores, scores - penalty)
