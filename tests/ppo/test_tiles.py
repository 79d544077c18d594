"""PPO at a large vocabulary: what is trained is the same, and no (B, R, V) is ever held."""

from typing import Any

import pytest
import torch
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from rlhf_compare.models import tiles
from tests.conftest import small_config
from tests.largest_tensor import Largest
from tests.ppo.conftest import MakeTrainer
from tests.ppo.helpers import collect, rows

SETTINGS: dict[str, Any] = {
    "entropy_coef": 0.1, "temperature": 0.7, "max_steps": 1, "num_ppo_epochs": 1,
    "num_mini_batches": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    "more",
    [{}, {"value_trunk": "shared"}, {"gradient_checkpointing": True}],
    ids=["separate", "shared", "checkpointing"],
)
def test_a_training_in_tiles_is_the_training(
    make_trainer: MakeTrainer,
    policy: GPT2LMHeadModel,
    monkeypatch: pytest.MonkeyPatch,
    more: dict[str, Any],
) -> None:
    """Rollout, losses, and the weights after steps on them."""
    start = {name: weight.clone() for name, weight in policy.state_dict().items()}
    found = []
    for tile in (1 << 25, 5 * policy.config.vocab_size):
        monkeypatch.setattr(tiles, "TILE", tile)
        policy.load_state_dict(start)
        trainer = make_trainer({**SETTINGS, **more, "learning_rate": 1e-4}, model=policy)
        rollout = collect(trainer)
        torch.manual_seed(0)
        trainer.train()
        found.append(
            (rollout, rows(trainer)[0], torch.cat([p.flatten() for p in policy.parameters()]))
        )
    (whole, row, weights), (tiled, tiled_row, tiled_weights) = found
    for name in ("logprobs", "ref_logprobs", "token_kl", "entropy", "values"):
        torch.testing.assert_close(getattr(tiled, name), getattr(whole, name), rtol=1e-6, atol=2e-6)
    for name in ("loss", "policy/grad_norm", "objective/kl_exact", "loss/value_avg"):
        assert tiled_row[name] == pytest.approx(row[name], rel=1e-5, abs=1e-6), name
    assert row["val/ratio"] == tiled_row["val/ratio"] == 1.0
    moved = (weights - torch.cat([start[n].flatten() for n, _ in policy.named_parameters()])).norm()
    assert (tiled_weights - weights).norm() < 1e-2 * moved


def test_no_tensor_of_a_training_is_larger_than_a_tile(
    make_trainer: MakeTrainer,
    tokenizer: PreTrainedTokenizerFast,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rollout and update at Qwen2's vocabulary. A micro-batch has 24 tokens, a tile holds 10."""
    words = 151_936
    config = small_config(tokenizer)
    config.vocab_size, config.n_embd = words, 4
    monkeypatch.setattr(tiles, "TILE", 10 * words)
    trainer = make_trainer(
        SETTINGS,
        model=GPT2LMHeadModel(config),
        reward_model=lambda prompts, responses: [float(len(text)) for text in responses],
    )
    with Largest() as largest:
        trainer.train()
    assert rows(trainer)[0]["val/ratio"] == 1.0
    assert 8 * words <= largest.numel <= 10 * words
