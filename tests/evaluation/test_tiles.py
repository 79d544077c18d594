"""The harness at a large vocabulary: the same columns, and no (B, R, V) is ever held."""

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from rlhf_compare.data.config import TaskConfig
from rlhf_compare.data.encoding import encode_prompt
from rlhf_compare.evaluation.config import EvaluationConfig
from rlhf_compare.evaluation.measure import Harness
from rlhf_compare.models import tiles
from rlhf_compare.models.sampler import ModelSampler
from tests.evaluation.test_measure import make_policy
from tests.largest_tensor import Largest

TASK = TaskConfig()


def harness(tokenizer: PreTrainedTokenizerFast, seed: int) -> Harness:
    config = EvaluationConfig(samples_per_prompt=4, max_new_tokens=12, batch_size=16)
    reference = make_policy(tokenizer, seed)
    return Harness(
        reference=reference, scorers={}, tokenizer=tokenizer, task=TASK, config=config
    )  # fmt: skip


def test_columns_are_those_of_the_whole(
    tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [encode_prompt(tokenizer, TASK.render(f"What is {n}?")) for n in range(4)]
    asked = harness(tokenizer, 0), ModelSampler(make_policy(tokenizer, 1))
    whole = asked[0].measure(asked[1], prompts, 0).per_prompt
    monkeypatch.setattr(tiles, "TILE", 7 * len(tokenizer))
    tiled = asked[0].measure(asked[1], prompts, 0).per_prompt
    assert tiled.keys() == whole.keys()
    for name, column in whole.items():
        assert tiled[name] == pytest.approx(column, rel=1e-5, abs=1e-6), name
    assert min(whole["kl_to_reference.exact"]) > 0.1


def test_no_tensor_is_larger_than_a_tile(
    tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Qwen2's vocabulary; 16 responses of 12 tokens, where a tile holds 20."""
    words = 151_936
    asked = harness(tokenizer, 0)
    policy = make_policy(tokenizer, 1)
    for model in (asked.reference, policy):
        model.resize_token_embeddings(words, mean_resizing=False)
    prompts = [encode_prompt(tokenizer, TASK.render(f"What is {n}?")) for n in range(4)]
    monkeypatch.setattr(tiles, "TILE", 20 * words)
    with torch.no_grad(), Largest() as largest:
        columns = asked.measure(ModelSampler(policy), prompts, 0).per_prompt
    assert len(columns["kl_to_reference.exact"]) == 4
    assert 16 * words <= largest.numel <= 20 * words
