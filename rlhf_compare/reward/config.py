"""The ``reward:`` section: fields of ``trl.RewardConfig``, and ours for what it lacks."""

from dataclasses import dataclass, field
from typing import Any

from trl import RewardConfig

from rlhf_compare.models.heads import Pooling
from rlhf_compare.reward.degenerate import KINDS, Degenerate
from rlhf_compare.runs.arguments import section_of


@dataclass
class RewardModelConfig(RewardConfig):
    """RewardConfig with heads and ranked responses.

    A batch is counted in prompts: ``per_device_train_batch_size`` prompts with all their
    responses. ``center_rewards_coefficient`` is TRL's, over all pairs.
    """

    pooling: Pooling = field(
        default="last", metadata={"help": "which token the score is read from; mean = all of them"}
    )
    backbone: str | dict[str, Any] | None = field(
        default=None,
        metadata={
            "help": "None = the SFT model; a directory or hub id, which brings its own tokenizer; "
            "or a transformers configuration with model_type: new weights, the recipe's tokenizer"
        },
    )
    max_responses: int | None = field(
        default=None,
        metadata={
            "help": "responses of one prompt in a step at most; of more, as many are drawn anew "
            "each time the prompt comes up. None = all: memory grows with K"
        },
    )
    forward_batch_size: int | None = field(
        default=None,
        metadata={"help": "responses in one forward, batched by length; None = the whole batch"},
    )
    margins: bool = field(
        default=False, metadata={"help": "a winner must be ahead by its difference of ranks"}
    )
    label_smoothing: float = field(
        default=0.0, metadata={"help": "share of pairs taken to be labelled wrongly; 0 = off"}
    )
    degenerate: list[Degenerate] = field(
        default_factory=list,
        metadata={
            "help": "broken texts made from the rows' responses, against a policy that finds what "
            "no pair shows: each prompt gets one of each kind, level with its worst response, "
            "anew whenever it comes up. Kinds: spliced, cut, repeated, shuffled, echoed, empty"
        },
    )
    early_stopping_patience: int | None = field(
        default=None,
        metadata={
            "help": "evaluations without a better accuracy before training stops; the best "
            "weights are kept. None = off: all epochs, the last weights"
        },
    )
    validation_share: float = field(
        default=0.1,
        metadata={"help": "share of training prompts set aside for early stopping; 0 < share < 1"},
    )
    accept_failed_doctor: bool = field(
        default=False, metadata={"help": "let methods train against a model that failed its checks"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = [kind for kind in self.degenerate if kind not in KINDS]
        if unknown:
            raise ValueError(f"degenerate: {unknown[0]!r}: not one of {', '.join(KINDS)}")
        if len(set(self.degenerate)) < len(self.degenerate):
            raise ValueError(f"degenerate: {self.degenerate}: each kind once")
        if self.max_responses is not None and self.max_responses < 2:
            raise ValueError(f"max_responses: {self.max_responses}: a pair needs 2")
        if self.forward_batch_size is not None and self.forward_batch_size < 1:
            raise ValueError(f"forward_batch_size: {self.forward_batch_size}: must be 1 or more")
        if not 0.0 <= self.label_smoothing < 0.5:
            raise ValueError(f"label_smoothing: {self.label_smoothing}: must be in [0, 0.5)")
        if not 0.0 < self.validation_share < 1.0:
            raise ValueError(f"validation_share: {self.validation_share}: must be in (0, 1)")
        if self.early_stopping_patience is not None and self.early_stopping_patience < 1:
            raise ValueError(
                f"early_stopping_patience: {self.early_stopping_patience}: must be 1 or more"
            )
        if isinstance(self.backbone, dict) and "model_type" not in self.backbone:
            raise ValueError("backbone: a configuration needs a model_type, for instance bert")


RewardSection = section_of(RewardModelConfig, "RewardSection")
