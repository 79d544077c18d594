"""The KL estimators: against known divergences of normals, and the exact one by hand."""

import math

import pytest
import torch
from torch.distributions import Normal

from rlhf_compare.tensors.kl import exact_token_kl, k1, k2, k3
from rlhf_compare.tensors.logprobs import token_logprobs

SAMPLES = 2_000_000


def spread(shift: float, estimator: object) -> tuple[float, float]:
    """(bias, standard deviation) over the true KL, for N(0, 1) against N(shift, 1)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(SAMPLES, generator=generator, dtype=torch.float64)
    true = shift**2 / 2
    values = estimator(Normal(0.0, 1.0).log_prob(x), Normal(shift, 1.0).log_prob(x))  # type: ignore[operator]
    return (values.mean().item() - true) / true, values.std().item() / true


@pytest.mark.parametrize(
    ("shift", "estimator", "std_over_true"),
    [(0.1, k1, 20.0), (0.1, k3, 1.42), (1.0, k1, 2.0), (1.0, k3, 1.7)],
)
def test_unbiased_with_the_published_spread(
    shift: float, estimator: object, std_over_true: float
) -> None:
    bias, deviation = spread(shift, estimator)
    assert abs(bias) < 4 * std_over_true / math.sqrt(SAMPLES)  # four standard errors
    # 2 %: the third digit of the published numbers, and what a heavy tail leaves of 2 M samples
    assert deviation == pytest.approx(std_over_true, rel=0.02)


def test_k2_is_biased_far_from_the_reference_and_hardly_near_it() -> None:
    assert spread(1.0, k2)[0] == pytest.approx(0.25, abs=0.01)  # E[(x - 1/2)^2] / 2 = 5/8, not 4/8
    assert spread(0.1, k2)[0] == pytest.approx(0.0025, abs=0.005)


def test_the_estimators_by_hand() -> None:
    logprobs, ref_logprobs = torch.tensor([0.0]), torch.tensor([math.log(2.0)])  # r = 2
    assert k1(logprobs, ref_logprobs).item() == pytest.approx(-math.log(2))
    assert k2(logprobs, ref_logprobs).item() == pytest.approx(math.log(2) ** 2 / 2)
    assert k3(logprobs, ref_logprobs).item() == pytest.approx(1 - math.log(2))


def test_k3_keeps_its_digits_near_the_reference() -> None:
    small = k3(torch.tensor([0.0]), torch.tensor([1e-3])).item()
    assert small == pytest.approx(5e-7, rel=2e-3)  # d^2 / 2, next term d^3 / 6
    assert k3(torch.zeros(1), torch.zeros(1)).item() == 0.0


def test_exact_kl_by_hand() -> None:
    policy = torch.tensor([0.5, 0.5]).log().view(1, 1, 2)
    reference = torch.tensor([0.25, 0.75]).log().view(1, 1, 2)
    exact = exact_token_kl(policy + 3.0, reference - 5.0)  # constants on logits change nothing
    assert exact.shape == (1, 1)
    assert exact.item() == pytest.approx(0.5 * math.log(4 / 3), rel=1e-5)
    assert exact_token_kl(policy, policy).item() == 0.0


def test_exact_kl_is_the_mean_of_k1_and_of_k3_over_the_vocabulary() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, ref_logits = torch.randn(2, 1, 1, 9, generator=generator, dtype=torch.float64)
    ids = torch.arange(9).view(1, 9)
    logprobs = token_logprobs(logits.expand(1, 9, 9), ids)
    ref_logprobs = token_logprobs(ref_logits.expand(1, 9, 9), ids)
    exact = exact_token_kl(logits, ref_logits).item()
    for estimator in (k1, k3):
        mean = (logprobs.exp() * estimator(logprobs, ref_logprobs)).sum().item()
        assert mean == pytest.approx(exact, rel=1e-5)


def test_exact_kl_of_a_certain_policy_is_finite() -> None:
    certain = torch.tensor([1e4, 0.0, 0.0]).view(1, 1, 3)
    assert exact_token_kl(certain, torch.zeros(1, 1, 3)).item() == pytest.approx(math.log(3))
