"""Ground truth, held to be true: sums to 1, identities to the last digits, hand numbers."""

import math

import pytest
import torch

from rlhf_compare.world.enumerable import EnumerableWorld, response_logps
from rlhf_compare.world.optimum import (
    best_of_n_logps,
    expectation,
    kl,
    objective,
    optimum_logps,
    population_dpo_loss,
    standing,
)

WORLD = EnumerableWorld()


@pytest.fixture(scope="module")
def ref_logps() -> torch.Tensor:
    return response_logps(WORLD, WORLD.reference(0, dtype=torch.float64))


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_every_response_is_listed_once(temperature: float) -> None:
    """4 ordinary tokens, 3 places: 1 + 4 + 16 that ended and 64 that were cut."""
    logps = response_logps(WORLD, WORLD.reference(1, dtype=torch.float64), temperature)
    assert logps.shape == (4, 85)
    torch.testing.assert_close(logps.exp().sum(1), torch.ones(4).double(), rtol=1e-9, atol=0)
    texts = {tuple(said) for said in WORLD.responses.to_lists()}
    assert len(texts) == 85


def test_gold_reward_is_the_same_on_ids_and_on_texts() -> None:
    tokenizer = WORLD.tokenizer()
    prompt = WORLD.prompts[3]
    said = WORLD.responses.to_lists()
    texts = [tokenizer.decode(ids, skip_special_tokens=True) for ids in said]
    scores = WORLD.score_texts([tokenizer.decode(list(prompt))] * len(said), texts)
    assert scores == WORLD.rewards[3].tolist()


@pytest.mark.parametrize("seed", range(5))
def test_distance_to_the_optimum_is_the_gap(ref_logps: torch.Tensor, seed: int) -> None:
    """J(pi) = J* - beta KL(pi || pi*) for any policy whatever."""
    logps = response_logps(WORLD, WORLD.reference(seed, dtype=torch.float64))
    where = standing(logps, ref_logps, WORLD.rewards, WORLD.beta)
    expected = where.best_objective - WORLD.beta * where.kl_to_optimum
    assert where.objective == pytest.approx(expected, abs=1e-10)
    assert (seed != 0) or where.gap == pytest.approx(1.0)


def test_optimum_beats_best_of_n_and_every_other_policy(ref_logps: torch.Tensor) -> None:
    best = optimum_logps(ref_logps, WORLD.rewards, WORLD.beta)
    torch.testing.assert_close(best.exp().sum(1), torch.ones(4).double())
    rivals = [best_of_n_logps(ref_logps, WORLD.rewards, n) for n in (1, 2, 4, 16)]
    rivals += [response_logps(WORLD, WORLD.reference(s, dtype=torch.float64)) for s in range(1, 9)]
    top = objective(best, ref_logps, WORLD.rewards, WORLD.beta).mean()
    for logps in rivals:
        torch.testing.assert_close(logps.exp().sum(1), torch.ones(4).double())
        assert objective(logps, ref_logps, WORLD.rewards, WORLD.beta).mean() < top
    torch.testing.assert_close(rivals[0], ref_logps)  # best of one is the reference
    rewards = [expectation(rival, WORLD.rewards).mean() for rival in rivals[:4]]
    assert rewards == sorted(rewards)


def test_two_responses_by_hand() -> None:
    """p0 = 0.2 for the response that is paid 1, beta 0.5: pi* = 0.2 e^2 / (0.8 + 0.2 e^2)."""
    ref = torch.tensor([[0.2, 0.8]], dtype=torch.float64).log()
    rewards = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    partition = 0.8 + 0.2 * math.exp(2.0)
    best = optimum_logps(ref, rewards, 0.5)
    assert best.exp()[0, 0].item() == pytest.approx(0.2 * math.exp(2.0) / partition)
    top = objective(best, ref, rewards, 0.5).item()
    assert top == pytest.approx(0.5 * math.log(partition))
    assert kl(ref, ref).item() == 0.0
    assert best_of_n_logps(ref, rewards, 2).exp()[0].tolist() == pytest.approx([0.36, 0.64])


def test_dpo_on_bradley_terry_labels_has_the_same_optimum(ref_logps: torch.Tensor) -> None:
    """The gradient of the population loss vanishes at pi* and nowhere near it."""
    best = optimum_logps(ref_logps, WORLD.rewards, WORLD.beta)
    at_best = (best - ref_logps).requires_grad_()
    population_dpo_loss(at_best, ref_logps, WORLD.rewards, WORLD.beta).backward()
    assert at_best.grad is not None and at_best.grad.abs().max() < 1e-12
    off = (1.3 * (best - ref_logps)).requires_grad_()
    population_dpo_loss(off, ref_logps, WORLD.rewards, WORLD.beta).backward()
    assert off.grad is not None and off.grad.abs().max() > 1e-5
