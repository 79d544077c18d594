"""The ``dpo:`` section: fields of ``trl.DPOConfig``, and when to stop and what to keep."""

from dataclasses import dataclass, field
from typing import Literal

import trl

from rlhf_compare.runs.arguments import section_of

_SMOOTHED = frozenset({"aot", "aot_unpaired", "exo_pair", "robust"})  # losses with label_smoothing


@dataclass
class DPOConfig(trl.DPOConfig):
    """TRL's fields under their own names (its losses by ``loss_type``), and two of ours.

    With noise-free labels the sigmoid loss has no minimum: it goes to 0 while the policy drifts
    further and further. So training stops by the drift, not by the loss.
    """

    kl_budget: float | None = field(
        default=None,
        metadata={"help": "nats per response; the first evaluation over it ends training; None"},
    )
    keep: Literal["last", "best"] = field(
        default="last",
        metadata={
            "help": "best = of the evaluations within kl_budget the one with the highest exact "
            "adoption (where a task has none: the highest accuracy on held-out pairs); where none "
            "is within, the one with the least KL"
        },
    )

    def __post_init__(self) -> None:
        if self.keep == "best":
            self.load_best_model_at_end = True
            self.metric_for_best_model, self.greater_is_better = "eval_selection", True
            self.save_strategy, self.save_total_limit, self.save_only_model = "best", 1, True
        super().__post_init__()
        if self.label_smoothing and not _SMOOTHED.intersection(self.loss_type):
            raise ValueError(
                f"label_smoothing: {self.label_smoothing} is refused: of TRL's losses only "
                f"{', '.join(sorted(_SMOOTHED))} read it; use loss_type: robust, or leave it out"
            )
        if self.kl_budget is not None and self.kl_budget <= 0:
            raise ValueError(f"kl_budget: {self.kl_budget} is out of range, it must be above 0")
        if self.kl_budget is not None and self.keep != "best":
            raise ValueError("kl_budget needs keep: best, or the policy over it would be kept")


DPOSection = section_of(DPOConfig, "DPOSection")
