"""The ``evaluation:`` section of a recipe."""

from typing import Literal

from pydantic import Field

from rlhf_compare.data.config import Section


class EvaluationConfig(Section):
    """How every policy is measured; the same for all methods."""

    # which held-out prompts: judging = those that no setting is chosen on; tuning = those for it
    prompts: Literal["judging", "tuning"] = "judging"
    max_prompts: int = Field(default=200, gt=0)  # held-out prompts at most
    samples_per_prompt: int = Field(default=4, gt=0)  # sampled responses, at temperature 1
    max_new_tokens: int = Field(default=64, gt=0)
    batch_size: int = Field(default=64, gt=0)  # responses per forward
    during_training: int = Field(default=10, ge=0)  # times a method is probed as it trains; 0 = not
    probe_prompts: int = Field(default=64, gt=0)  # held-out prompts of a probe, kept for it alone
    questions: tuple[str, ...] = ()  # shown in the report, with their group held out of training
    shown_prompts: int = Field(default=4, ge=0)  # evaluation prompts shown beside those questions
