"""PPO's and DPO's own trainers on a world, watched while they train."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from datasets import Dataset
from torch import Tensor
from transformers import TrainerCallback

from rlhf_compare.dpo.config import DPOConfig
from rlhf_compare.dpo.trainer import EncodedDPOTrainer
from rlhf_compare.ppo import PPOConfig, PPOTrainer
from rlhf_compare.world.enumerable import EnumerableWorld, response_logps

Progress = Callable[[int], Any]

# chosen on the tuning seed
PPO: dict[str, Any] = {
    "per_device_train_batch_size": 256,
    "num_mini_batches": 4,
    "num_ppo_epochs": 4,
    "lam": 1.0,
    "learning_rate": 3e-3,
    "max_steps": 75,
}
DPO: dict[str, Any] = {"per_device_train_batch_size": 512, "learning_rate": 4e-3, "max_steps": 250}
_SHARED = {
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
    "bf16": False,
    "dataloader_pin_memory": False,
}
_VISITS = 12  # in the course of a run, unless said otherwise
UPDATES_OF_PPO: int = PPO["num_ppo_epochs"] * PPO["num_mini_batches"]  # in one iteration


@dataclass(frozen=True)
class Visit:
    """A policy on its way: after how many updates of its weights; log pi of every response (N, Y),
    float64."""

    updates: int
    logps: Tensor


class _Visits(TrainerCallback):
    def __init__(
        self,
        world: EnumerableWorld,
        policy: Any,
        updates_a_step: int,
        progress: Progress,
        visits: int,
    ) -> None:
        self._world, self._policy, self._updates = world, policy, updates_a_step
        self._progress, self._visits = progress, visits
        self.found = [Visit(0, response_logps(world, policy))]

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._progress(1)
        step, every = state.global_step, max(state.max_steps // self._visits, 1)
        if step % every == 0 or step == state.max_steps:
            logps = response_logps(self._world, self._policy)
            self.found.append(Visit(step * self._updates, logps))


def train_ppo(
    world: EnumerableWorld, seed: int, progress: Progress, visits: int = _VISITS, **settings: Any
) -> list[Visit]:
    """PPO on the gold reward, from the world's reference of ``seed``.

    Args:
        progress: called with 1 after every iteration.
        visits: in the course of the run, beside the one before it.
        settings: of :class:`PPOConfig`, in place of those in ``PPO``.
    """
    policy = world.reference(seed)
    watch = _Visits(world, policy, UPDATES_OF_PPO, progress, visits)
    with tempfile.TemporaryDirectory() as directory:
        given = {"num_sample_generations": 0, **_SHARED, **PPO, **settings}
        args = PPOConfig(
            output_dir=directory,
            response_length=world.max_length,
            temperature=1.0,
            kl_coef=world.beta,
            seed=seed,
            **given,
        )
        copies = -(-args.episodes_per_process // len(world.prompts))
        PPOTrainer(
            args=args,
            processing_class=world.tokenizer(),
            model=policy,
            reward_model=world.score_texts,
            train_dataset=Dataset.from_dict(
                {"input_ids": [list(p) for p in world.prompts] * copies}
            ),
            callbacks=[watch],
        ).train()
    return watch.found


def train_dpo(
    world: EnumerableWorld,
    seed: int,
    pairs: Dataset,
    progress: Progress,
    visits: int = _VISITS,
    **settings: Any,
) -> list[Visit]:
    """DPO with its own loss (sigmoid) on ``pairs``, from the world's reference of ``seed``.

    Args:
        progress: called with 1 after every step.
        visits: in the course of the run, beside the one before it.
        settings: of :class:`DPOConfig`, in place of those in ``DPO``.
    """
    policy = world.reference(seed)
    watch = _Visits(world, policy, 1, progress, visits)
    with tempfile.TemporaryDirectory() as directory:
        args = DPOConfig(
            output_dir=directory,
            beta=world.beta,
            max_length=None,
            seed=seed,
            **{**_SHARED, **DPO, **settings},
        )
        EncodedDPOTrainer(
            model=policy,
            ref_model=world.reference(seed),
            args=args,
            processing_class=world.tokenizer(),
            train_dataset=pairs,
            callbacks=[watch],
        ).train()
    return watch.found
