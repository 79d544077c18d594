"""Log-probabilities and entropies: by hand and against torch's own."""

import math

import pytest
import torch

from rlhf_compare.tensors.logprobs import token_entropy, token_logprobs


def test_by_hand() -> None:
    logits = torch.log(torch.tensor([[[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]]))  # B 1, R 2, V 3
    logprobs = token_logprobs(logits, torch.tensor([[1, 2]]))
    torch.testing.assert_close(logprobs, torch.tensor([[math.log(0.25), math.log(0.7)]]))
    entropy = token_entropy(logits)
    assert entropy.shape == (1, 2)
    assert entropy[0, 0].item() == pytest.approx(1.5 * math.log(2))


def test_the_entropy_of_equal_logits_is_log_v() -> None:
    assert token_entropy(torch.full((1, 1, 50), 3.0)).item() == pytest.approx(math.log(50))


def test_agrees_with_cross_entropy() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 11, generator=generator)
    ids = torch.randint(11, (3, 4), generator=generator)
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids.flatten(), reduction="none")
    torch.testing.assert_close(token_logprobs(logits, ids), -loss.view(3, 4))


def test_adding_a_constant_to_the_logits_changes_nothing_and_none_overflows() -> None:
    logits = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(0))
    ids = torch.tensor([[0, 1, 2], [3, 4, 5]])
    shifted = token_logprobs(logits + 1024.0, ids)
    torch.testing.assert_close(shifted, token_logprobs(logits, ids), atol=2e-4, rtol=0)
    assert torch.isfinite(token_logprobs(logits * 1e4, ids)).all()
    assert (token_logprobs(logits, ids) <= 0).all()


def test_half_precision_is_computed_in_float32() -> None:
    logits = torch.randn(1, 2, 1000, generator=torch.Generator().manual_seed(0)).bfloat16()
    ids = torch.tensor([[3, 4]])
    assert token_logprobs(logits, ids).dtype == token_entropy(logits).dtype == torch.float32
    torch.testing.assert_close(token_logprobs(logits, ids), token_logprobs(logits.float(), ids))
