"""Best of n against its exact distribution, where every response is listed."""

import math
from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from rlhf_compare.best_of_n.sampler import BestOfNSampler, kl_bound
from rlhf_compare.models.generation import Responses
from rlhf_compare.models.sampler import ModelSampler
from rlhf_compare.models.scoring import Scorer
from rlhf_compare.tensors.padding import pad_sequences
from rlhf_compare.theory import best_of_n_adoption
from rlhf_compare.world.enumerable import EnumerableWorld, response_logps
from rlhf_compare.world.optimum import best_of_n_logps, kl

WORLD = EnumerableWorld()
DRAWS = 3000  # answers to each prompt


def sampler(n: int, world: EnumerableWorld = WORLD, temperature: float = 1.0) -> BestOfNSampler:
    scorer = Scorer(world.score_texts, world.tokenizer(), 64)
    return BestOfNSampler(world.reference(), scorer, n, temperature)


def ask(policy: BestOfNSampler | ModelSampler, world: EnumerableWorld = WORLD) -> Responses:
    """``DRAWS`` answers to every prompt, prompt after prompt."""
    ids, mask = pad_sequences(world.prompts, world.eos_id, "left")
    ids, mask = (t.repeat_interleave(DRAWS, 0) for t in (ids, mask))
    torch.manual_seed(0)
    return policy(ids, mask, world.max_length, world.eos_id, world.eos_id, 1.0)


def frequencies(responses: Responses) -> Tensor:
    """Share of every response of the world among the answers to each prompt: (N, Y)."""
    place = {tuple(ids): i for i, ids in enumerate(WORLD.responses.to_lists())}
    rows = []
    for start in range(0, len(responses.ids), DRAWS):
        part = responses.to_lists()[start : start + DRAWS]
        counts = Counter(place[tuple(ids)] for ids in part)
        rows.append([counts[i] / DRAWS for i in range(len(place))])
    return torch.tensor(rows, dtype=torch.float64)


def deviation(found: Tensor, logps: Tensor) -> float:
    """The largest distance of a frequency from its probability, in standard errors."""
    p = logps.exp()
    error = (p * (1 - p) / DRAWS).sqrt() + 1 / DRAWS  # one answer more or less of a rare one
    return float(((found - p).abs() / error).max())


@pytest.mark.parametrize("n", [1, 2, pytest.param(5, marks=pytest.mark.slow)])
def test_answers_follow_the_exact_distribution(n: int) -> None:
    found = frequencies(ask(sampler(n)))
    reference = response_logps(WORLD, WORLD.reference())
    # 340 frequencies: one of them is over 4.5 standard errors once in 400 such tests
    assert deviation(found, best_of_n_logps(reference, WORLD.rewards, n)) < 4.5
    assert deviation(found, best_of_n_logps(reference, WORLD.rewards, n + 1)) > 4.5


def test_the_best_of_one_is_the_model_token_for_token() -> None:
    one, model = ask(sampler(1)), ask(ModelSampler(WORLD.reference()))
    assert torch.equal(one.ids, model.ids)
    assert torch.equal(one.mask, model.mask) and torch.equal(one.ended, model.ended)


def test_of_equal_scores_the_first_sample_is_taken() -> None:
    indifferent = replace(WORLD, reward=lambda prompt, response: 0.0)
    assert torch.equal(
        ask(sampler(4, indifferent)).ids[:, :1],
        ask(ModelSampler(WORLD.reference())).ids[:, :1],
    )


@pytest.mark.parametrize("n", [2, 4])
def test_adoption_of_an_indicator_is_what_theory_says(n: int) -> None:
    world = replace(WORLD, reward=lambda prompt, response: float(response[0] == 1))
    first = ask(sampler(n, world), world).ids[:, 0].view(len(world.prompts), DRAWS)
    reference = response_logps(world, world.reference())
    for row, base in zip(first, (reference.exp() * world.rewards).sum(1).tolist(), strict=True):
        expected = best_of_n_adoption(base, n)
        error = math.sqrt(expected * (1 - expected) / DRAWS)
        assert float((row == 1).double().mean()) == pytest.approx(expected, abs=4 * error)


@pytest.mark.parametrize("n", [1, 2, 8, 64])
def test_drift_is_at_most_the_bound(n: int) -> None:
    reference = response_logps(WORLD, WORLD.reference())
    drift = kl(best_of_n_logps(reference, WORLD.rewards, n), reference)
    assert float(drift.max()) <= kl_bound(n) + 1e-12


@pytest.mark.slow
def test_the_bound_is_met_where_no_two_scores_are_equal_and_no_sample_likely() -> None:
    """Of a continuous reward the divergence is log n - (n - 1)/n itself."""
    logps = torch.full((1, 20_000), -math.log(20_000), dtype=torch.float64)
    drift = kl(best_of_n_logps(logps, torch.arange(20_000.0).unsqueeze(0), 4), logps)
    assert float(drift) == pytest.approx(kl_bound(4), abs=1e-3)


def test_at_another_temperature_no_bound_is_claimed() -> None:
    assert sampler(4).kl_bound == kl_bound(4)
    assert sampler(4, temperature=0.7).kl_bound is None


def test_tokens_of_every_sample_are_counted() -> None:
    fixed = replace(WORLD, reward=lambda prompt, response: -len(response))
    answers = ask(sampler(3, fixed), fixed)
    assert answers.sampled is not None
    assert bool((answers.sampled >= 3 * answers.mask.sum(1)).all())  # the shortest was chosen
    assert bool((answers.sampled > 3 * answers.mask.sum(1)).any())


def test_batches_are_never_larger_than_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, rows = sampler(6), []
    forward = type(policy._model).forward

    def spy(model: object, input_ids: Tensor, *args: object, **kwargs: object) -> object:
        rows.append(len(input_ids))
        return forward(model, input_ids, *args, **kwargs)

    monkeypatch.setattr(type(policy._model), "forward", spy)
    ids, mask = pad_sequences(WORLD.prompts, WORLD.eos_id, "left")
    policy(ids, mask, WORLD.max_length, WORLD.eos_id, WORLD.eos_id, None)
    assert rows and max(rows) <= len(ids)
