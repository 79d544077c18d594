"""The ``data:`` and ``task:`` sections of a recipe."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

PairRule = Literal["best_worst", "all", "adjacent"]

MAX_SEED = 2**32 - 1  # numpy takes no larger one


class Section(BaseModel):
    """A recipe section: unknown keys are refused, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataConfig(Section):
    """Where rows come from and how they are cut."""

    source: Literal["embedded", "file", "hub"] = "embedded"
    path: str | None = None  # source file: .jsonl or .jsonl.gz
    hub_id: str | None = None  # source hub: a dataset id
    revision: str | None = None  # source hub: a commit, tag or branch; None = newest
    split: str = "train"  # source hub: which published split to read
    max_rows: int | None = Field(default=None, gt=0)  # read no more rows than this; None = all
    max_prompt_length: int = Field(default=256, gt=0)  # tokens; longer prompts are dropped
    max_length: int = Field(default=512, gt=1)  # tokens of prompt + response, EOS included
    eval_share: float = Field(default=0.2, gt=0, lt=1)  # share of prompts (or topics) held out
    pairs: PairRule = "best_worst"  # which pairs DPO takes from K ranked responses

    @model_validator(mode="after")
    def _source_is_complete(self) -> "DataConfig":
        needs = {"file": "path", "hub": "hub_id"}
        for source, field in needs.items():
            if self.source == source and not getattr(self, field):
                raise ValueError(f"{field}: needed where source is '{source}'")
            if self.source != source and getattr(self, field):
                raise ValueError(f"{field}: only for source '{source}', here it is '{self.source}'")
        return self


class TaskConfig(Section):
    """What chosen and rejected mean."""

    name: Literal["prefix", "preference"] = "prefix"
    template: str = "### Question: {question}\n### Answer: "  # the trailing space belongs to it
    prefix: str = "Let me explain. "  # task prefix: chosen = prefix + answer
    marker: str = "let me explain"  # adopted = the response starts with this, case ignored
    sft_prefix_share: float = Field(default=0.0, ge=0, le=1)  # SFT answers that carry the prefix

    @model_validator(mode="after")
    def _texts_fit(self) -> "TaskConfig":
        if "{question}" not in self.template:
            raise ValueError("template: must contain {question}")
        if not self.marker.strip():
            raise ValueError("marker: must not be empty")
        if not self.prefix.lower().startswith(self.marker.lower()):
            raise ValueError(f"marker: the prefix {self.prefix!r} does not start with it")
        return self

    def render(self, question: str) -> str:
        """The prompt for a question. ``replace``, not ``format``: questions may hold braces."""
        return self.template.replace("{question}", question)
