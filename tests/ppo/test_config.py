"""Settings are checked when the config is made, and TRL's fields are all taken."""

import logging
from pathlib import Path
from typing import Any

import pytest

from rlhf_compare.ppo import PPOConfig
from rlhf_compare.ppo.config import PPOSection


def test_fields_that_nothing_reads_are_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = {"output_dir": str(tmp_path), "per_device_train_batch_size": 4}
    with caplog.at_level(logging.WARNING):
        PPOConfig(**plain)
        assert "does not read" not in caplog.text
        args = PPOConfig(
            **plain, dataset_num_proc=2, sft_model_path="x", reward_model_path="y", exp_name="z",
            ds3_gather_for_generation=False, world_size=8, batch_size=999, mini_batch_size=1,
            gradient_accumulation_steps=3, num_mini_batches=2, total_episodes=100,
        )  # fmt: skip
    messages = [record.message for record in caplog.records if "does not read" in record.message]
    assert len(messages) == 1 and "world_size, batch_size, mini_batch_size" in messages[0]
    assert (args.world_size, args.local_batch_size, args.batch_size) == (1, 12, 12)
    assert (args.micro_batch_size, args.mini_batch_size, args.local_mini_batch_size) == (4, 6, 6)
    assert args.num_total_batches == 9 and args.sft_model_path == "x"


def test_a_recipe_has_no_fields_that_nothing_reads() -> None:
    for name in ("dataset_num_proc", "sft_model_path", "world_size", "batch_size", "exp_name"):
        assert name not in PPOSection.model_fields
    assert "kl_coef" in PPOSection.model_fields


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"stop_token": "period"}, "stop_token: 'period' is not known"),
        ({"stop_token": "eos", "stop_token_id": 7}, "stop_token: 'eos' and stop_token_id: 7"),
        ({"kl_estimator": "k2"}, "kl_estimator: 'k2' is not known; give k1 or k3"),
        ({"num_ppo_epochs": 0}, "num_ppo_epochs: 0 is out of range: it must be at least 1"),
        ({"num_mini_batches": 0}, "num_mini_batches: 0 is out of range"),
        ({"cliprange": -1.0}, "cliprange: -1.0 is out of range"),
        ({"cliprange_value": 0.0}, "cliprange_value: 0.0 is out of range"),
        ({"lam": 2.0}, "lam: 2.0 is out of range"),
        ({"gamma": -0.1}, "gamma: -0.1 is out of range"),
        ({"gamma": float("nan")}, "gamma: nan is out of range"),
        ({"vf_coef": -1.0}, "vf_coef: -1.0 is out of range"),
        ({"kl_coef": float("inf")}, "kl_coef: inf is out of range"),
        ({"missing_eos_penalty": -1.0}, "missing_eos_penalty: -1.0 is out of range"),
        ({"local_rollout_forward_batch_size": 0}, "local_rollout_forward_batch_size: 0 is out"),
        ({"stop_token_id": -1}, "stop_token_id: -1 is out of range"),
    ],
    ids=str,
)
def test_settings_are_checked_at_once(tmp_path: Path, settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        PPOConfig(output_dir=str(tmp_path), **settings)
