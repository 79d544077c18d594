"""PPO's settings, under the names of TRL 1.12, the last TRL that had PPO."""

import logging
import math
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le
from transformers import TrainingArguments

from rlhf_compare.ppo.loss import ESTIMATORS, KLEstimator
from rlhf_compare.ppo.unread import UNREAD, UnreadFields
from rlhf_compare.runs.arguments import section_of

_log = logging.getLogger(__name__)


class _Unsaid:
    """The default of ``stop_token``: EOS ends a response, unless ``stop_token_id`` is given."""

    def __repr__(self) -> str:
        return "eos"


_UNSAID: Any = _Unsaid()


@dataclass
class PPOConfig(UnreadFields, TrainingArguments):
    """Arguments of :class:`PPOTrainer`; all of ``transformers.TrainingArguments`` besides.

    One step (``logging_steps``, ``save_steps``, ``max_steps``) is one PPO iteration: a rollout of
    ``per_device_train_batch_size * gradient_accumulation_steps`` episodes per process, and
    ``num_ppo_epochs * num_mini_batches`` optimizer steps on it.
    """

    learning_rate: Annotated[float, Ge(0)] = field(default=3e-6, metadata={"help": "of the policy"})
    adam_epsilon: Annotated[float, Ge(0)] = field(
        default=1e-5, metadata={"help": "as Huang et al. 2024, detail 3"}
    )
    logging_steps: Annotated[float, Gt(0)] = field(
        default=10, metadata={"help": "iterations between log rows"}
    )

    # --- rollout
    total_episodes: Annotated[int, Gt(0)] | None = field(
        default=None,
        metadata={
            "help": "responses sampled in all; None = num_train_epochs times the prompts",
        },
    )
    response_length: Annotated[int, Gt(0)] = field(
        default=53, metadata={"help": "new tokens at most"}
    )
    temperature: Annotated[float, Gt(0)] = field(
        default=0.7, metadata={"help": "of sampling; divides all logits"}
    )
    stop_token: Literal["eos"] | None = field(
        default=_UNSAID,
        metadata={
            "help": "eos = ends at EOS (default); None = at stop_token_id, or at full length"
        },
    )
    stop_token_id: int | None = field(
        default=None, metadata={"help": "ends a response instead of EOS; None = see stop_token"}
    )
    local_rollout_forward_batch_size: Annotated[int, Gt(0)] = field(
        default=64, metadata={"help": "responses per forward of the reward model"}
    )
    num_sample_generations: int = field(
        default=10, metadata={"help": "times that samples are written to samples.jsonl; 0 = never"}
    )

    # --- reward
    kl_coef: Annotated[float, Ge(0)] = field(
        default=0.05,
        metadata={"help": "beta in R = r - beta log(pi/pi_ref); 0 = no penalty"},
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
    gamma: Annotated[float, Ge(0), Le(1)] = field(
        default=1.0, metadata={"help": "discount per token; 1 = none"}
    )
    lam: Annotated[float, Ge(0), Le(1)] = field(default=0.95, metadata={"help": "GAE's lambda"})
    num_ppo_epochs: Annotated[int, Gt(0)] = field(
        default=4, metadata={"help": "passes over each rollout"}
    )
    num_mini_batches: Annotated[int, Gt(0)] = field(
        default=1,
        metadata={"help": "optimizer steps per PPO epoch: parts a rollout is cut into"},
    )
    cliprange: Annotated[float, Gt(0)] = field(
        default=0.2, metadata={"help": "of the probability ratio"}
    )
    target_kl: float | None = field(
        default=None,
        metadata={"help": "nats per token between old and new policy that end an update; None"},
    )
    entropy_coef: float = field(default=0.0, metadata={"help": "entropy bonus; 0 = off"})
    vf_coef: Annotated[float, Ge(0)] = field(
        default=0.1, metadata={"help": "weight of the value loss"}
    )
    cliprange_value: Annotated[float, Gt(0)] = field(
        default=0.2, metadata={"help": "of the value's change"}
    )
    value_trunk: Literal["separate", "shared"] = field(
        default="separate", metadata={"help": "shared = a value head on the policy's own trunk"}
    )
    value_learning_rate: Annotated[float, Ge(0)] | None = field(
        default=None, metadata={"help": "of the value model; None = learning_rate"}
    )
    critic_warmup_steps: int = field(
        default=0, metadata={"help": "first iterations that train the value model alone"}
    )

    # --- adapters
    model_adapter_name: str | None = field(
        default=None,
        metadata={"help": "of a PEFT model's adapters the one that trains; None = the only one"},
    )
    ref_adapter_name: str | None = field(
        default=None,
        metadata={"help": "of a PEFT model's adapters the reference; None = all of them off"},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stop_token is _UNSAID:
            self.stop_token = "eos" if self.stop_token_id is None else None
        if self.stop_token not in ("eos", None):
            raise ValueError(f"stop_token: {self.stop_token!r} is not known; give 'eos' or None")
        if self.stop_token is not None and self.stop_token_id is not None:
            raise ValueError(
                f"stop_token: {self.stop_token!r} and stop_token_id: {self.stop_token_id} are both "
                "given; leave one out"
            )
        if self.kl_estimator not in ESTIMATORS:
            known = " or ".join(ESTIMATORS)
            raise ValueError(f"kl_estimator: {self.kl_estimator!r} is not known; give {known}")
        self._check_ranges()
        self._check_combinations()
        if self.unread():
            _log.warning("PPOTrainer does not read %s of PPOConfig", ", ".join(self.unread()))

    def _check_ranges(self) -> None:
        for name in _FROM_1:
            value = getattr(self, name)
            self._check(name, value is None or value >= 1, "at least 1")
        for name in _FROM_0:
            value = getattr(self, name)
            self._check(name, value is None or 0 <= value < math.inf, "at least 0, and finite")
        for name in _ABOVE_0:
            value = getattr(self, name)
            self._check(name, value is None or value > 0, "above 0")
        for name in ("gamma", "lam"):
            self._check(name, 0 <= getattr(self, name) <= 1, "from 0 to 1")
        share = self.reference_ema
        self._check("reference_ema", share is None or 0 <= share < 1, "from 0 to below 1")

    def _check_combinations(self) -> None:
        self._refuse("fp16", self.fp16, "its loss scaler skips steps; use bf16")
        best = self.load_best_model_at_end
        self._refuse("load_best_model_at_end", best, "pick a checkpoint by its eval_ metrics")
        alone = self.critic_warmup_steps > 0 and self.value_trunk == "shared"
        why = "the value loss would move the shared trunk; use value_trunk: separate"
        self._refuse("critic_warmup_steps", alone, why)
        dead = self.kl_target is not None and self.kl_coef == 0
        self._refuse("kl_target", dead, "a kl_coef of 0 stays 0; start above it")
        episodes = self.episodes_per_process
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

    def _check(self, name: str, holds: bool, wanted: str) -> None:
        if not holds:
            raise ValueError(f"{name}: {getattr(self, name)} is out of range: it must be {wanted}")

    @property
    def episodes_per_process(self) -> int:
        """Episodes of one rollout in one process; ``local_batch_size`` in TRL."""
        return int(self.per_device_train_batch_size * self.gradient_accumulation_steps)


_FROM_1 = (
    "total_episodes", "response_length", "num_ppo_epochs", "num_mini_batches", "kl_horizon",
    "local_rollout_forward_batch_size", "per_device_train_batch_size",
    "gradient_accumulation_steps",
)  # fmt: skip
_FROM_0 = (
    "kl_coef", "vf_coef", "entropy_coef", "missing_eos_penalty", "learning_rate",
    "value_learning_rate", "center_scores_on", "num_sample_generations", "critic_warmup_steps",
    "stop_token_id",
)  # fmt: skip
_ABOVE_0 = ("temperature", "cliprange", "cliprange_value", "kl_target", "target_kl")

PPOSection = section_of(PPOConfig, "PPOSection", without=UNREAD)
