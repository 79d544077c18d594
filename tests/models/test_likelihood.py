"""log pi of whole responses, held against the plain forward and against hand numbers."""

import math

import pytest
import torch
from transformers import GPT2LMHeadModel

from rlhf_compare.models import tiles
from rlhf_compare.models.likelihood import response_logps

PROMPTS = [[1, 2, 3], [4], [5, 6], [1, 2, 3]]
RESPONSES = [[7, 8, 0], [9], [3, 3, 3, 3, 3, 0], [7, 8]]


def plainly(model: GPT2LMHeadModel, prompt: list[int], response: list[int]) -> float:
    """One row, no padding, no batch."""
    with torch.no_grad():
        logp = model(torch.tensor([prompt + response])).logits[0].log_softmax(-1)
    first = len(prompt) - 1
    return sum(float(logp[first + t, token]) for t, token in enumerate(response))


@pytest.mark.parametrize("plain_head", [True, False])
@pytest.mark.parametrize("tile", [1 << 25, 700])  # of 300-odd logits a position: two at a time
def test_equals_one_row_at_a_time(
    policy: GPT2LMHeadModel, monkeypatch: pytest.MonkeyPatch, plain_head: bool, tile: int
) -> None:
    monkeypatch.setattr(tiles, "has_plain_head", lambda _: plain_head)
    monkeypatch.setattr(tiles, "TILE", tile)
    policy.eval()
    expected = [plainly(policy, *pair) for pair in zip(PROMPTS, RESPONSES, strict=True)]
    found = response_logps(policy, PROMPTS, RESPONSES, batch_size=3)
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_uniform_model_by_hand(policy: GPT2LMHeadModel) -> None:
    """Three tokens at 1/V each."""
    with torch.no_grad():
        for weights in policy.parameters():
            weights.zero_()
    size = policy.config.vocab_size
    assert response_logps(policy, [[1]], [[2, 3, 4]], 1) == pytest.approx([-3 * math.log(size)])
