"""The reward models of a recipe: the one that methods train against, and the judge, which learns
from rows that teach nobody else and which no policy sees."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from peft import LoraConfig

from rlhf_compare.errors import StageFailedError
from rlhf_compare.inputs import reward_inputs
from rlhf_compare.recipe import Recipe
from rlhf_compare.reward.stage import train_reward
from rlhf_compare.runs.identity import Stage
from rlhf_compare.runs.runner import StageRunner

RewardRole = Literal["proxy", "held_out"]  # as the metrics name them

REWARD_STAGES: dict[RewardRole, str] = {"proxy": "reward", "held_out": "judge"}


def reward_roles(recipe: Recipe) -> tuple[RewardRole, ...]:
    """The reward models of a recipe: the judge only where rows are kept for it."""
    return ("proxy", "held_out") if recipe.data.judge_share else ("proxy",)


def starts_from_sft(recipe: Recipe) -> bool:
    """Whether the reward models start from the SFT model, and not from a backbone of their own."""
    return recipe.resolved()["reward"].get("backbone") is None


@dataclass(frozen=True)
class Rewards:
    """Trains reward models, or finds those that are there.

    Args:
        data, sft: run the stages before; SFT only where a reward model starts from its model.
        lora: a fresh configuration at each call.
    """

    recipe: Recipe
    runner: StageRunner
    data: Callable[[], Stage]
    sft: Callable[[], Stage]
    lora: Callable[[], LoraConfig | None]

    @property
    def roles(self) -> tuple[RewardRole, ...]:
        """Those that an evaluation asks."""
        return reward_roles(self.recipe)

    def train(self, seed: int, role: RewardRole) -> Stage:
        """Train one unless it is there. The judge is equipment of the evaluation and charged to no
        path."""
        inputs = self._inputs()
        sft = self.sft() if "sft" in inputs else None
        return self.runner.run(
            REWARD_STAGES[role],
            seed,
            inputs,
            lambda c: train_reward(
                c,
                self.recipe.reward,
                self.recipe.task,
                sft.directory.model if sft else None,
                self.lora(),
                judge=role == "held_out",
            ),
        )

    def train_all(self, seed: int) -> dict[str, Stage]:
        """Those that an evaluation asks, without those whose training failed."""
        rewards: dict[str, Stage] = {}
        for role in self.roles:
            try:
                rewards[role] = self.train(seed, role)
            except StageFailedError as error:
                self.runner.say(
                    f"{REWARD_STAGES[role]}-{seed} failed, so it measures nothing: {error}"
                )
        return rewards

    def at_hand(self, seed: int) -> dict[str, Stage] | None:
        """Finished ones; None where one is missing."""
        inputs = self._inputs()
        done: dict[str, Stage] = {}
        for role in self.roles:
            stage = self.runner.find(REWARD_STAGES[role], seed, inputs)
            if stage is None:
                return None
            done[role] = stage
        return done

    def hashes(self, seed: int) -> dict[str, str]:
        """What identifies each, whether it is there or not."""
        inputs = self._inputs()
        return {
            role: self.runner.inputs_hash(REWARD_STAGES[role], seed, inputs) for role in self.roles
        }

    def _inputs(self) -> dict[str, Any]:
        if starts_from_sft(self.recipe):
            return reward_inputs(self.recipe, {"sft": self.sft().inputs_hash})
        return reward_inputs(self.recipe, {"data": self.data().inputs_hash})
