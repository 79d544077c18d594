"""What one policy does on the held-out prompts: numbers per prompt, and its greedy answers."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rlhf_compare.bars import bar
from rlhf_compare.data.config import TaskConfig
from rlhf_compare.data.encoding import decode_response, marker_ids, prefix_ids
from rlhf_compare.data.turns import turn_ends
from rlhf_compare.evaluation.config import EvaluationConfig
from rlhf_compare.evaluation.prefix import along_prefix, on_prefix
from rlhf_compare.metrics import ENTROPY
from rlhf_compare.models.generation import Responses
from rlhf_compare.models.sampler import Sampler
from rlhf_compare.models.scoring import Scorer
from rlhf_compare.models.tiles import response_statistics
from rlhf_compare.tensors.kl import against_reference, k1, k3
from rlhf_compare.tensors.masked import masked_sum
from rlhf_compare.tensors.padding import pad_sequences
from rlhf_compare.theory import binary_kl


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """per_prompt: metric name -> one number a prompt, in the prompts' order, None where the metric
    has none for that prompt; answers: greedy, or sampled where a policy has no greedy answer;
    topics: of each prompt, prompts of one topic being no independent draws (empty = none is known);
    sampled: the texts of each prompt's sampled responses; scores: reward model's metric -> its
    scores of them.
    """

    per_prompt: Mapping[str, Sequence[float | None]]
    answers: list[str]
    topics: list[int] = field(default_factory=list)
    sampled: list[list[str]] = field(default_factory=list)
    scores: dict[str, list[list[float]]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Harness:
    """Everything that is the same for every policy.

    Units: adoption and rates are shares; KL, floor and entropy nats per response; lengths tokens
    (EOS included); rewards as the reward models score them.

    Attributes:
        scorers: metric name (``reward.proxy``, ``reward.held_out``) -> its reward model.
    """

    reference: PreTrainedModel
    scorers: Mapping[str, Scorer]
    tokenizer: PreTrainedTokenizerBase
    task: TaskConfig
    config: EvaluationConfig

    @torch.no_grad()
    def measure(
        self,
        policy: Sampler,
        prompts: Sequence[list[int]],
        seed: int,
        label: str | None = None,
    ) -> Measurement:
        """Measure one policy. Leaves its mode and the caller's random draws as they were.

        Args:
            prompts: token ids of every prompt.
            seed: of the sampling; the same for every policy.
            label: for the progress bar; None = no bar.
        """
        with _at_rest(policy.model), torch.random.fork_rng():
            torch.manual_seed(seed)
            return self._measure(policy, prompts, label)

    def _measure(
        self, policy: Sampler, prompts: Sequence[list[int]], label: str | None
    ) -> Measurement:
        columns: dict[str, list[float]] = defaultdict(list)
        answers: list[str] = []
        sampled: list[list[str]] = []
        scores: dict[str, list[list[float]]] = defaultdict(list)
        n, per_batch = self.config.samples_per_prompt, self.config.batch_size
        size = max(1, per_batch // n)
        with bar(label or "", len(prompts), "prompt", hidden=label is None) as progress:
            for start in range(0, len(prompts), size):
                part = list(prompts[start : start + size])
                ids, mask = self._pad(part)
                greedy = self._texts(self._generate(policy, ids, mask, None))
                answers += greedy
                if policy.model is not None and self.task.behaviour is not None:
                    columns["adoption.greedy"] += self._adopted(greedy)
                    self._add_adoption(columns, policy.model, ids, mask)
                repeated = [t.repeat_interleave(n, dim=0) for t in (ids, mask)]
                texts, scored = self._add_sampled(columns, policy, *repeated)
                sampled += [texts[i : i + n] for i in range(0, len(texts), n)]
                for name, values in scored.items():
                    scores[name] += values.float().cpu().view(-1, n).tolist()
                progress.update(len(part))
        _add_whole_kl(columns)
        return Measurement(
            per_prompt=dict(columns), answers=answers, sampled=sampled, scores=dict(scores)
        )

    @torch.no_grad()
    def measure_one(
        self, policy: Sampler, prompt: list[int], seed: int, temperature: float | None
    ) -> tuple[str, dict[str, float]]:
        """One answer to one prompt, and its numbers by metric: what :meth:`measure` would say of
        this prompt if the answer were its only sample.

        Args:
            prompt: token ids.
            seed: of the sampling; the caller's random draws stay as they were.
            temperature: of the answer, None = greedy; KL is that of the policy at temperature 1.
        """
        columns: dict[str, list[float]] = defaultdict(list)
        with _at_rest(policy.model), torch.random.fork_rng():
            torch.manual_seed(seed)
            ids, mask = self._pad([prompt])
            if policy.model is not None and self.task.behaviour is not None:
                self._add_adoption(columns, policy.model, ids, mask)
            responses = self._generate(policy, ids, mask, temperature)
            for name, values in self._rows(policy, ids, mask, responses).items():
                columns[name] = values.float().cpu().tolist()
        _add_whole_kl(columns)
        return self._texts(responses)[0], {name: column[0] for name, column in columns.items()}

    def answer(self, policy: Sampler, prompts: Sequence[list[int]]) -> list[str]:
        """Greedy answers to prompts that count in no number."""
        if not prompts:
            return []
        return self._texts(self._generate(policy, *self._pad(list(prompts)), None))

    def _pad(self, prompts: list[list[int]]) -> tuple[Tensor, Tensor]:
        pad_id = self.tokenizer.pad_token_id
        ids, mask = pad_sequences(prompts, pad_id, "left")
        return ids.to(self.reference.device), mask.to(self.reference.device)

    def _generate(
        self, policy: Sampler, ids: Tensor, mask: Tensor, temperature: float | None
    ) -> Responses:
        # the reference's ends for every policy: all are asked the same
        ends, pad_id = turn_ends(self.tokenizer, self.reference), self.tokenizer.pad_token_id
        length = self.config.max_new_tokens
        return policy(ids, mask, length, ends, pad_id, temperature)

    def _texts(self, responses: Responses) -> list[str]:
        return [decode_response(self.tokenizer, ids) for ids in responses.to_lists()]

    # --- adoption

    def _add_adoption(
        self,
        columns: dict[str, list[float]],
        policy: PreTrainedModel,
        ids: Tensor,
        mask: Tensor,
    ) -> None:
        """Exact adoption, the base rate, the floor that follows from the two, and the KL along the
        prefix, where the task has one."""
        behaviour = self.task.behaviour
        assert behaviour is not None
        marker, prefix = marker_ids(self.tokenizer, behaviour), self._prefix()
        found = along_prefix(policy, self.reference, ids, mask, marker, prefix)
        columns["adoption.exact"] += found.adopted
        columns["base_rate"] += found.base
        columns["kl_to_reference.floor"] += map(binary_kl, found.adopted, found.base)
        columns["kl_to_reference.style"] += found.style

    def _adopted(self, texts: list[str]) -> list[float]:
        behaviour = self.task.behaviour
        assert behaviour is not None
        return [float(behaviour.adopts(text)) for text in texts]

    def _prefix(self) -> list[int]:
        """Tokens of the prefix, as far as a response may go; empty without a behaviour."""
        behaviour = self.task.behaviour
        if behaviour is None:
            return []
        return prefix_ids(self.tokenizer, behaviour)[: self.config.max_new_tokens]

    # --- sampled responses

    def _add_sampled(
        self, columns: dict[str, list[float]], policy: Sampler, ids: Tensor, mask: Tensor
    ) -> tuple[list[str], dict[str, Tensor]]:
        """Everything measured along responses sampled at temperature 1, as means over a prompt's
        samples.

        Returns:
            the texts of the responses, (B,), and each reward model's scores of them, (B,).
        """
        responses = self._generate(policy, ids, mask, 1.0)
        rows = self._rows(policy, ids, mask, responses)
        n = self.config.samples_per_prompt
        for name, values in rows.items():
            columns[name] += values.float().cpu().view(-1, n).mean(1).tolist()
        lists = responses.to_lists()
        columns["distinct_2"] += [distinct_2(lists[i : i + n]) for i in range(0, len(lists), n)]
        return self._texts(responses), {name: rows[name] for name in self.scorers}

    def _rows(
        self, policy: Sampler, ids: Tensor, mask: Tensor, responses: Responses
    ) -> dict[str, Tensor]:
        """What is measured of each response, (B,) by metric."""
        rows: dict[str, Tensor] = {}
        if policy.model is not None:
            sequences = torch.cat([ids, responses.ids], dim=1)
            whole = torch.cat([mask, responses.mask], dim=1)
            rows |= self._kl_rows(policy.model, sequences, whole, responses)
        if policy.kl_bound is not None:
            rows["kl_to_reference.bound"] = torch.full((len(ids),), policy.kl_bound)
        lengths = responses.mask.sum(1).float()
        rows["length"], rows["eos_rate"] = lengths, responses.ended.float()
        if responses.sampled is not None:
            rows["tokens_per_answer"] = responses.sampled
        if self.task.behaviour is not None:
            rows["adoption.sampled"] = torch.tensor(self._adopted(self._texts(responses)))
        return rows | {name: scorer(ids, mask, responses) for name, scorer in self.scorers.items()}

    def _kl_rows(
        self, policy: PreTrainedModel, sequences: Tensor, whole: Tensor, responses: Responses
    ) -> dict[str, Tensor]:
        """KL of every sampled response, exact and by estimators, and its entropy, in nats. Of the
        exact one what is on the prefix is left out: it is known without samples."""
        length, real = responses.ids.shape[1], responses.mask
        logprobs, ref_logprobs, kl, entropy = response_statistics(
            against_reference, (policy, self.reference), sequences, whole, length
        )
        name = "exact" if self.task.behaviour is None else "content"
        sampled = real & ~on_prefix(responses.ids, self._prefix())
        return {
            f"kl_to_reference.{name}": masked_sum(kl, sampled, 1),
            "kl_to_reference.k1": masked_sum(k1(logprobs, ref_logprobs), real, 1),
            "kl_to_reference.k3": masked_sum(k3(logprobs, ref_logprobs), real, 1),
            ENTROPY: masked_sum(entropy, real, 1),
        }


def _add_whole_kl(columns: dict[str, list[float]]) -> None:
    if "kl_to_reference.style" in columns:  # without it, exact KL has no such part
        parts = (columns[f"kl_to_reference.{part}"] for part in ("style", "content"))
        columns["kl_to_reference.exact"] = [float(sum(pair)) for pair in zip(*parts, strict=True)]


@contextmanager
def _at_rest(model: Any | None) -> Iterator[None]:
    """The model in eval mode, and as it was afterwards."""
    if model is None:
        yield
        return
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def distinct_2(responses: Sequence[Sequence[int]]) -> float:
    """Share of different token bigrams among all bigrams of some responses (Li et al. 2016);
    1 where there is none."""
    bigrams = [pair for ids in responses for pair in pairwise(ids)]
    return len(set(bigrams)) / len(bigrams) if bigrams else 1.0


def as_matrix(measurements: Sequence[Measurement], name: str) -> np.ndarray | None:
    """One metric of several seeds as (seeds, prompts), of the prompts that have a number; None if
    it was not measured."""
    if any(name not in m.per_prompt for m in measurements):
        return None
    kept = _prompts_with(measurements, name)
    rows = [m.per_prompt[name] for m in measurements]
    return np.array([[row[i] for i in kept] for row in rows], dtype=np.float64)


def topics_of(measurements: Sequence[Measurement], name: str) -> np.ndarray | None:
    """The topic of each prompt that has a number in a metric, (prompts,); None where none is
    known."""
    topics = measurements[0].topics if measurements else []
    return np.array([topics[i] for i in _prompts_with(measurements, name)]) if topics else None


def _prompts_with(measurements: Sequence[Measurement], name: str) -> list[int]:
    """Those of which a metric has a number under every seed."""
    rows = [m.per_prompt.get(name, ()) for m in measurements]
    return [i for i, values in enumerate(zip(*rows, strict=True)) if None not in values]
