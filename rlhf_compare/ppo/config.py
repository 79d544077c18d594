"""PPO's settings, under the names of TRL 1.12, the last TRL that had PPO."""

from dataclasses import dataclass, field
from typing import Literal

from transformers import TrainingArguments

from rlhf_compare.runs.arguments import section_of


@dataclass
class PPOConfig(TrainingArguments):
    """Arguments of :class:`PPOTrainer`; all of ``transformers.TrainingArguments`` besides.

    One step (``logging_steps``, ``save_steps``, ``max_steps``) is one PPO iteration: a rollout of
    ``per_device_train_batch_size * gradient_accumulation_steps`` episodes per process, and
    ``num_ppo_epochs * num_mini_batches`` optimizer steps on it.
    """

    learning_rate: float = field(default=3e-6, metadata={"help": "of the policy"})
    logging_steps: float = field(default=10, metadata={"help": "iterations between log rows"})

    num_mini_batches: int = field(
        default=1, metadata={"help": "optimizer steps per PPO epoch: parts a rollout is cut into"}
    )
    total_episodes: int | None = field(
        default=None,
        metadata={"help": "responses sampled in all; None = num_train_epochs times the prompts"},
    )
    local_rollout_forward_batch_size: int = field(
        default=64, metadata={"help": "responses per forward where no gradient is needed"}
    )
    response_length: int = field(default=53, metadata={"help": "new tokens at most"})
    temperature: float = field(default=0.7, metadata={"help": "of sampling; divides all logits"})
    missing_eos_penalty: float | None = field(
        default=None, metadata={"help": "taken off the score of a response without EOS; None = 0"}
    )
    num_ppo_epochs: int = field(default=4, metadata={"help": "passes over each rollout"})
    whiten_rewards: bool = field(
        default=False, metadata={"help": "scale per-token rewards to unit variance, mean kept"}
    )
    kl_coef: float = field(
        default=0.05, metadata={"help": "beta in R = r - beta log(pi/pi_ref); 0 = no penalty"}
    )
    kl_estimator: Literal["k1", "k3"] = field(
        default="k1", metadata={"help": "of the penalty; k3's gradient is not that of the KL"}
    )
    cliprange: float = field(default=0.2, metadata={"help": "of the probability ratio"})
    vf_coef: float = field(default=0.1, metadata={"help": "weight of the value loss"})
    cliprange_value: float = field(default=0.2, metadata={"help": "of the value's change"})
    gamma: float = field(default=1.0, metadata={"help": "discount per token; 1 = none"})
    lam: float = field(default=0.95, metadata={"help": "GAE's lambda"})
    value_learning_rate: float | None = field(
        default=None, metadata={"help": "of the value model; None = learning_rate"}
    )
    center_scores_on: int = field(
        default=0,
        metadata={"help": "reference samples whose mean score is taken off every score; 0 = off"},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.total_episodes is not None and self.total_episodes < 1:
            raise ValueError(f"total_episodes must be at least 1, got {self.total_episodes}")
        if self.temperature <= 0:
            raise ValueError(f"temperature must be over 0, got {self.temperature}")
        episodes = self.local_batch_size
        if episodes % self.num_mini_batches:
            raise ValueError(
                f"a rollout of {episodes} episodes ({self.per_device_train_batch_size} "
                f"per_device_train_batch_size x {self.gradient_accumulation_steps} "
                f"gradient_accumulation_steps) does not divide into {self.num_mini_batches} "
                "num_mini_batches"
            )

    @property
    def local_batch_size(self) -> int:
        """Episodes of one rollout in one process."""
        return self.per_device_train_batch_size * self.gradient_accumulation_steps

    @property
    def local_mini_batch_size(self) -> int:
        """Episodes of one optimizer step in one process."""
        return self.local_batch_size // self.num_mini_batches


PPOSection = section_of(PPOConfig, "PPOSection")
