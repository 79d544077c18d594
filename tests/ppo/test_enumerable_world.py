"""The real trainer against the truth: with the gold reward it must close the gap to the optimum."""

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import TrainerCallback

from rlhf_compare.ppo import PPOConfig, PPOTrainer
from rlhf_compare.world.enumerable import EnumerableWorld, response_logps
from rlhf_compare.world.optimum import Standing, standing


class Visits(TrainerCallback):
    """Judges the policy at some steps of the way."""

    def __init__(self, world: EnumerableWorld, policy: Any, ref_logps: torch.Tensor) -> None:
        self.world, self.policy, self.ref_logps = world, policy, ref_logps
        self.standings: list[Standing] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % 20 == 0:
            logps = response_logps(self.world, self.policy)
            judged = standing(logps, self.ref_logps, self.world.rewards, self.world.beta)
            self.standings.append(judged)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ppo_closes_the_gap_to_the_optimum(seed: int, tmp_path: Path) -> None:
    world = EnumerableWorld()
    policy = world.reference(seed)
    visits = Visits(world, policy, response_logps(world, policy))
    PPOTrainer(
        args=PPOConfig(
            output_dir=str(tmp_path),
            per_device_train_batch_size=256,
            num_mini_batches=4,
            num_ppo_epochs=4,
            response_length=world.max_length,
            temperature=1.0,
            kl_coef=world.beta,
            lam=1.0,
            learning_rate=3e-3,
            max_steps=100,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            num_sample_generations=0,
            seed=seed,
        ),
        processing_class=world.tokenizer(),
        model=policy,
        reward_model=world.score_texts,
        train_dataset=Dataset.from_dict({"input_ids": [list(p) for p in world.prompts] * 64}),
        callbacks=[visits],
    ).train()
    for judged in visits.standings:
        expected = judged.best_objective - world.beta * judged.kl_to_optimum
        assert judged.objective == pytest.approx(expected, abs=1e-5)
    assert visits.standings[-1].gap <= 0.05, [judged.gap for judged in visits.standings]
