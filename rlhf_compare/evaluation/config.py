"""The ``evaluation:`` section of a recipe."""

import re
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

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
    # A chat model that compares the methods' answers, behind an OpenAI-compatible endpoint; None =
    # nothing is sent anywhere. It is sent prompts, answers and labelled responses.
    judge_url: str | None = None  # up to /v1
    judge_model: str | None = None  # its name there
    judge_prompts: int = Field(default=100, gt=0)  # of the measured prompts; two questions each
    judge_key_variable: str | None = "OPENAI_API_KEY"  # environment variable; None = send no key

    @field_validator("judge_url")
    @classmethod
    def _address_holds_no_secret(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                "the address holds more than host and path, which the results would repeat; put a "
                "key into the environment variable that judge_key_variable names"
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{value!r} is no address; write for instance https://host/v1")
        return value

    @field_validator("judge_key_variable")
    @classmethod
    def _names_a_variable(cls, value: str | None) -> str | None:
        # the message leaves out the value, which may be the key itself
        if value is not None and not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,63}", value):
            raise ValueError(
                "write the name of an environment variable, for instance OPENAI_API_KEY; the key "
                "itself belongs into that variable and into no recipe"
            )
        return value

    @model_validator(mode="after")
    def _judge_is_named(self) -> "EvaluationConfig":
        if self.judge_url is not None and not self.judge_model:
            raise ValueError("judge_model: needed where judge_url is set")
        return self
