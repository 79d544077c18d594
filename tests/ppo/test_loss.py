"""PPO's formulas against hand numbers and identities."""

import math

import pytest
import torch

from rlhf_compare.ppo.loss import (
    MAX_LOG_RATIO,
    explained_variance,
    gae,
    policy_loss,
    token_rewards,
    value_loss,
)

MASK = torch.tensor([[True, True, True], [True, True, False]])


def random(seed: int) -> torch.Tensor:
    return torch.randn(2, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_rewards_of_a_row_sum_to_the_objective() -> None:
    logprobs, ref = random(0), random(1)
    scores = torch.tensor([2.0, -1.0], dtype=torch.float64)
    rewards = token_rewards(scores, logprobs, ref, MASK, kl_coef=0.3)
    log_ratio = torch.where(MASK, logprobs - ref, 0.0).sum(1)
    torch.testing.assert_close(rewards.sum(1), scores - 0.3 * log_ratio)


def test_score_is_paid_on_the_last_real_token_alone() -> None:
    zero = torch.zeros(2, 3)
    rewards = token_rewards(torch.tensor([2.0, -1.0]), zero, zero, MASK, kl_coef=0.3)
    assert rewards.tolist() == [[0.0, 0.0, 2.0], [0.0, -1.0, 0.0]]


def test_padding_has_no_reward_whatever_lies_there() -> None:
    logprobs, ref = random(0), random(1)
    logprobs[1, 2], ref[1, 2] = math.nan, math.inf
    rewards = token_rewards(torch.zeros(2).double(), logprobs, ref, MASK, kl_coef=0.3)
    assert rewards[1, 2] == 0.0
    assert bool(torch.isfinite(rewards).all())


def test_gae_by_hand() -> None:
    """gamma 0.9, lambda 0.5, by hand from the last token on:
    A2 = 3 - 1 = 2;  A1 = (0 + 0.9 * 1 - 2) + 0.45 * 2 = -0.2;
    A0 = (1 + 0.9 * 2 - 0.5) + 0.45 * -0.2 = 2.21."""
    rewards = torch.tensor([[1.0, 0.0, 3.0]])
    values = torch.tensor([[0.5, 2.0, 1.0]])
    advantages, returns = gae(rewards, values, torch.ones(1, 3).bool(), gamma=0.9, lam=0.5)
    torch.testing.assert_close(advantages, torch.tensor([[2.21, -0.2, 2.0]]))
    torch.testing.assert_close(returns, torch.tensor([[2.71, 1.8, 3.0]]))


def test_gae_with_lambda_1_is_reward_to_go_less_value() -> None:
    rewards, values = random(2), random(3)
    advantages, _ = gae(rewards, values, MASK, gamma=1.0, lam=1.0)
    kept = torch.where(MASK, rewards, 0.0)
    to_go = kept.flip(1).cumsum(1).flip(1)
    torch.testing.assert_close(advantages, torch.where(MASK, to_go - values, 0.0))


def test_gae_with_lambda_0_is_the_one_step_error() -> None:
    rewards, values = random(2), random(3)
    advantages, _ = gae(rewards, values, MASK, gamma=1.0, lam=0.0)
    following = torch.tensor([[values[0, 1], values[0, 2], 0.0], [values[1, 1], 0.0, 0.0]])
    expected = torch.where(MASK, rewards + following - values, 0.0)
    torch.testing.assert_close(advantages, expected)


def test_gae_of_a_short_response_is_that_without_its_padding() -> None:
    rewards, values = random(4), random(5)
    rewards[1, 2], values[1, 2] = math.nan, 1e9
    together, _ = gae(rewards, values, MASK, gamma=0.99, lam=0.95)
    alone, _ = gae(rewards[1:, :2], values[1:, :2], MASK[1:, :2], gamma=0.99, lam=0.95)
    torch.testing.assert_close(together[1:, :2], alone)
    assert together[1, 2] == 0.0


def test_policy_that_has_not_moved() -> None:
    """ratio 1, approximate KL 0, nothing clipped, loss = -mean advantage."""
    logprobs, advantages = random(6), random(7)
    out = policy_loss(logprobs, logprobs.clone(), advantages, MASK, cliprange=0.2)
    assert out.ratio_sum == MASK.sum()
    assert out.approx_kl_sum == 0.0 and out.clipped_sum == 0.0 and out.clamped == 0
    torch.testing.assert_close(out.loss, -advantages[MASK].mean())


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "has_gradient"),
    [
        (1.5, 1.0, -1.2, False),  # gain over the clip: no more to be had
        (1.5, -1.0, 1.5, True),  # loss over the clip: still pushed back
        (0.5, 1.0, -0.5, True),
        (0.5, -1.0, 0.8, False),
        (1.1, 1.0, -1.1, True),
    ],
)
def test_clip_takes_the_pessimistic_side(
    ratio: float, advantage: float, loss: float, has_gradient: bool
) -> None:
    logprobs = torch.tensor([[math.log(ratio)]], requires_grad=True)
    out = policy_loss(
        logprobs, torch.zeros(1, 1), torch.tensor([[advantage]]), torch.ones(1, 1).bool(), 0.2
    )
    assert out.loss.item() == pytest.approx(loss)
    assert out.clipped_sum == (0.0 if has_gradient else 1.0)
    out.loss.backward()
    assert logprobs.grad is not None and (abs(logprobs.grad.item()) > 0) == has_gradient


def test_exploding_ratio_is_clamped_and_counted() -> None:
    logprobs = torch.tensor([[1000.0, 0.0]], requires_grad=True)
    out = policy_loss(
        logprobs, torch.zeros(1, 2), -torch.ones(1, 2), torch.ones(1, 2).bool(), cliprange=0.2
    )
    assert out.clamped == 1
    assert bool(torch.isfinite(out.loss))
    assert out.loss.item() == pytest.approx((math.exp(MAX_LOG_RATIO) + 1) / 2, rel=1e-5)


def test_two_micro_batches_give_the_loss_and_gradient_of_one() -> None:
    old, advantages = random(8), random(9)
    whole = random(10).requires_grad_()
    policy_loss(whole, old, advantages, MASK, 0.2).loss.backward()
    parts = random(10).requires_grad_()
    for row in (0, 1):
        cut = slice(row, row + 1)
        policy_loss(
            parts[cut], old[cut], advantages[cut], MASK[cut], 0.2, MASK.sum()
        ).loss.backward()
    torch.testing.assert_close(parts.grad, whole.grad)
    assert whole.grad is not None and whole.grad[1, 2] == 0.0


def test_value_loss_by_hand() -> None:
    """V 2, old 1, G 3, clip 0.2: plain error 1, clipped 1.8^2 = 3.24, the larger one is taken."""
    one = torch.ones(1, 1)
    loss, clipped = value_loss(2 * one, one, 3 * one, one.bool(), cliprange=0.2)
    assert loss.item() == pytest.approx(0.5 * 3.24)
    assert clipped == 1.0
    loss, clipped = value_loss(1.1 * one, one, 3 * one, one.bool(), cliprange=0.2)
    assert loss.item() == pytest.approx(0.5 * 1.9**2)
    assert clipped == 0.0


def test_explained_variance() -> None:
    returns = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, math.nan]])
    perfect = explained_variance(returns - 7.0, returns, MASK)  # an offset is no error of variance
    assert perfect.item() == pytest.approx(1.0)
    assert explained_variance(torch.zeros(2, 3), returns, MASK).item() == pytest.approx(0.0)
