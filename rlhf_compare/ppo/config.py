"""PPO's settings, under the names of TRL 1.12, the last TRL that had PPO."""

from dataclasses import dataclass, field
from typing import Literal

from transformers import TrainingArguments

from rlhf_compare.ppo.loss import KLEstimator
from rlhf_compare.runs.arguments import section_of


@dataclass
class PPOConfig(TrainingArguments):
    """Arguments of :class:`PPOTrainer`; all of ``transformers.TrainingArguments`` besides.

    One step (``logging_steps``, ``save_steps``, ``max_steps``) is one PPO iteration: a rollout of
    ``per_device_train_batch_size * gradient_accumulation_steps`` episodes per process, and
    ``num_ppo_epochs * num_mini_batches`` optimizer steps on it.
    """

    learning_rate: float = field(default=3e-6, metadata={"help": "of the policy"})
    adam_epsilon: float = field(default=1e-5, metadata={"help": "as Huang et al. 2024, detail 3"})
    logging_steps: float = field(default=10, metadata={"help": "iterations between log rows"})

    # --- rollout
    total_episodes: int | None = field(
        default=None,
        metadata={"help": "responses sampled in all; None = num_train_epochs times the prompts"},
    )
    response_length: int = field(default=53, metadata={"help": "new tokens at most"})
    temperature: float = field(default=0.7, metadata={"help": "of sampling; divides all logits"})
    stop_token: Literal["eos"] | None = field(
        default="eos", metadata={"help": "a response ends at EOS; None = see stop_token_id"}
    )
    stop_token_id: int | None = field(
        default=None, metadata={"help": "ends a response instead of EOS; None = EOS"}
    )
    local_rollout_forward_batch_size: int = field(
        default=64, metadata={"help": "responses per forward of the reward model"}
    )
    num_sample_generations: int = field(
        default=10, metadata={"help": "times that samples are written to samples.jsonl; 0 = never"}
    )

    # --- reward
    kl_coef: float = field(
        default=0.05, metadata={"help": "beta in R = r - beta log(pi/pi_ref); 0 = no penalty"}
    )
    kl_estimator: KLEstimator = field(
        default="k1", metadata={"help": "of the penalty; k3's gradient is not that of the KL"}
    )
    kl_target: float | None = field(
        default=None,
        metadata={"help": "nats per response that kl_coef is steered to; None = kl_coef is fixed"},
    )
    kl_horizon: int = field(
        default=10_000, metadata={"help": "episodes over which kl_target is approached"}
    )
    missing_eos_penalty: float | None = field(
        default=None, metadata={"help": "taken off the score of a response without EOS; None = 0"}
    )
    center_scores_on: int = field(
        default=0,
        metadata={"help": "reference samples whose mean score is taken off every score; 0 = off"},
    )
    whiten_rewards: bool = field(
        default=False, metadata={"help": "scale per-token rewards to unit variance, mean kept"}
    )
    reference_ema: float | None = field(
        default=None,
        metadata={"help": "share of itself the reference keeps each iteration; None = it is fixed"},
    )

    # --- advantages and losses
    gamma: float = field(default=1.0, metadata={"help": "discount per token; 1 = none"})
    lam: float = field(default=0.95, metadata={"help": "GAE's lambda"})
    num_ppo_epochs: int = field(default=4, metadata={"help": "passes over each rollout"})
    num_mini_batches: int = field(
        default=1, metadata={"help": "optimizer steps per PPO epoch: parts a rollout is cut into"}
    )
    cliprange: float = field(default=0.2, metadata={"help": "of the probability ratio"})
    target_kl: float | None = field(
        default=None,
        metadata={"help": "nats per token between old and new policy that end an update; None"},
    )
    entropy_coef: float = field(default=0.0, metadata={"help": "entropy bonus; 0 = off"})
    vf_coef: float = field(default=0.1, metadata={"help": "weight of the value loss"})
    cliprange_value: float = field(default=0.2, metadata={"help": "of the value's change"})
    value_trunk: Literal["separate", "shared"] = field(
        default="separate", metadata={"help": "shared = a value head on the policy's own trunk"}
    )
    value_learning_rate: float | None = field(
        default=None, metadata={"help": "of the value model; None = learning_rate"}
    )
    critic_warmup_steps: int = field(
        default=0, metadata={"help": "first iterations that train the value model alone"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("total_episodes", self.total_episodes is None or self.total_episodes >= 1)
        self._check("temperature", self.temperature > 0)
        self._check("response_length", self.response_length >= 1)
        self._check("kl_coef", self.kl_coef >= 0)
        self._check("kl_target", self.kl_target is None or self.kl_target > 0)
        self._check("kl_horizon", self.kl_horizon >= 1)
        self._check("target_kl", self.target_kl is None or self.target_kl > 0)
        self._check("reference_ema", self.reference_ema is None or 0 <= self.reference_ema < 1)
        self._refuse("fp16", self.fp16, "its loss scaler skips steps; use bf16")
        self._refuse("gradient_checkpointing", self.gradient_checkpointing, "not supported here")
        best = self.load_best_model_at_end
        self._refuse("load_best_model_at_end", best, "pick a checkpoint by its eval_ metrics")
        alone = self.critic_warmup_steps > 0 and self.value_trunk == "shared"
        why = "the value loss would move the shared trunk; use value_trunk: separate"
        self._refuse("critic_warmup_steps", alone, why)
        dead = self.kl_target is not None and self.kl_coef == 0
        self._refuse("kl_target", dead, "a kl_coef of 0 stays 0; start above it")
        episodes = self.local_batch_size
        if episodes % self.num_mini_batches:
            raise ValueError(
                f"a rollout of {episodes} episodes ({self.per_device_train_batch_size} "
                f"per_device_train_batch_size x {self.gradient_accumulation_steps} "
                f"gradient_accumulation_steps) does not divide into {self.num_mini_batches} "
                "num_mini_batches"
            )

    def _refuse(self, name: str, given: bool, why: str) -> None:
        if given:
            raise ValueError(f"{name}: {getattr(self, name)} is refused: {why}")

    def _check(self, name: str, holds: bool) -> None:
        if not holds:
            raise ValueError(f"{name}: {getattr(self, name)} is out of range")

    @property
    def local_batch_size(self) -> int:
        """Episodes of one rollout in one process."""
        return self.per_device_train_batch_size * self.gradient_accumulation_steps

    @property
    def local_mini_batch_size(self) -> int:
        """Episodes of one optimizer step in one process."""
        return self.local_batch_size // self.num_mini_batches


PPOSection = section_of(PPOConfig, "PPOSection")
