"""The ``data:`` and ``task:`` sections of a recipe."""

import difflib
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from rlhf_compare.data.behaviour import Behaviour
from rlhf_compare.data.reasons import FAULT_LIMIT, REASONS
from rlhf_compare.data.splits import split_hash

PairRule = Literal["best_worst", "all", "adjacent"]
# What rows hold that something can learn from: answers to imitate, responses of which some are
# better, questions to sample answers to.
Feed = Literal["demonstrations", "rankings", "prompts"]
FEEDS: tuple[Feed, ...] = get_args(Feed)
# What a column can be, in the order in which a row is read.
Role = Literal[
    "system", "history", "messages", "prompt", "input", "chosen", "rejected", "completion",
    "responses", "scores", "better", "score_chosen", "score_rejected", "label", "topic",
]  # fmt: skip

_SEVERAL = ("responses", "scores", "better", "label")

MAX_SEED = 2**32 - 1  # numpy takes no larger one


class Section(BaseModel):
    """A recipe section: unknown keys are refused, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SourceConfig(Section):
    """One source of rows."""

    source: Literal["embedded", "file", "hub"] = "embedded"
    # source file: .jsonl .json .csv .tsv (each also .gz), .parquet, or a folder of such files or of
    # save_to_disk
    path: str | None = None
    hub_id: str | None = None  # source hub: a dataset id
    revision: str | None = None  # source hub: a commit, tag or branch; None = newest
    split: str = "train"  # source hub, or a file or folder with several: which of them to read
    streaming: bool = False  # source hub: read row by row, so that max_rows stops the download
    format: Literal["auto", "hh", "preference", "ranked", "prompts", "demonstrations"] = "auto"
    # our name for a column: its name in the source, or several for responses and scores
    columns: dict[Role, str | tuple[str, ...]] = Field(default_factory=dict)
    max_rows: int | None = Field(default=None, gt=0)  # read no more rows than this; None = all
    # what the rows are used for; a row feeds each of these kinds that it holds enough for
    feeds: tuple[Feed, ...] = FEEDS
    side: Literal["split", "train", "eval"] = "split"  # split = by the hash of the prompt
    # of the rows kept, in proportion to the other sources' weights; None = all rows
    weight: float | None = Field(default=None, gt=0)

    @field_validator("columns", mode="before")
    @classmethod
    def _columns_have_roles(cls, value: object) -> object:
        for role in value if isinstance(value, dict) else ():
            if role not in get_args(Role):
                near = difflib.get_close_matches(str(role), get_args(Role), n=1, cutoff=0.0)
                raise ValueError(
                    f"unknown name {str(role)!r}; did you mean {near[0]}? write our name for a "
                    f"column left of the colon, the source's right; ours are "
                    f"{', '.join(get_args(Role))}"
                )
        return value

    @field_validator("columns")
    @classmethod
    def _columns_are_named_once(
        cls, value: dict[Role, str | tuple[str, ...]]
    ) -> dict[Role, str | tuple[str, ...]]:
        taken: dict[str, str] = {}
        for role, given in value.items():
            names = (given,) if isinstance(given, str) else given
            if not names or not all(name.strip() for name in names):
                raise ValueError(f"{role} names no column")
            if len(names) > 1 and role not in _SEVERAL:
                raise ValueError(
                    f"{role} is one column, here it is {', '.join(names)}; several are for "
                    f"{', '.join(_SEVERAL)}"
                )
            for name in names if role not in ("topic", "label") else ():
                if name in taken:
                    other = "twice" if taken[name] == role else f"and {role}"
                    raise ValueError(f"{name!r} is named for {taken[name]} {other}")
                taken[name] = role
        return value

    @field_validator("feeds", mode="before")
    @classmethod
    def _feeds_are_kinds(cls, value: object) -> object:
        for word in [value] if isinstance(value, str) else value if isinstance(value, list) else ():
            if word not in FEEDS:
                raise ValueError(
                    f"{word!r} is no kind of rows; the kinds are {', '.join(FEEDS)}, whichever "
                    "stages and methods learn from them"
                )
        return value

    @model_validator(mode="after")
    def _source_is_complete(self) -> "SourceConfig":
        if getattr(self, "sources", ()):  # each of them is asked; fields beside them are refused
            return self
        needs = {"file": "path", "hub": "hub_id"}
        for source, field in needs.items():
            if self.source == source and not getattr(self, field):
                raise ValueError(f"{field}: needed where source is '{source}'")
            if self.source != source and getattr(self, field):
                raise ValueError(f"{field}: only for source '{source}', here it is '{self.source}'")
        if self.streaming and self.source != "hub":
            raise ValueError("streaming: only for source 'hub'; files are read line by line anyway")
        if not self.feeds:
            raise ValueError(f"feeds: name at least one of {', '.join(FEEDS)}")
        return self


class DataConfig(SourceConfig):
    """Where rows come from and how they are cut: one source, or several under ``sources``."""

    sources: tuple[SourceConfig, ...] = ()  # instead of the fields above
    multi_turn: Literal["drop", "last"] = "drop"  # last = prompt is all up to the last human turn
    duplicates: Literal["drop", "keep"] = "drop"  # rows that say the same in every field used
    leaks: Literal["error", "drop"] = "error"  # a prompt on both sides, where sources name theirs
    # share of rows that may be unusable; or a share for each reason code, "faults" = all faults
    max_dropped_share: float | dict[str, float] = 0.05
    max_prompt_length: int = Field(default=256, gt=0)  # tokens; longer prompts are dropped
    max_length: int = Field(default=512, gt=1)  # tokens of prompt + response, EOS included
    eval_share: float = Field(default=0.2, gt=0, lt=1)  # share of prompts (or topics) held out
    # of the groups not held out, the share that teaches the judge (a reward model that no policy is
    # trained against) and nobody else; 0 = no judge
    judge_share: float = Field(default=0.0, ge=0, lt=1)
    pairs: PairRule = "best_worst"  # which pairs DPO takes from K ranked responses
    near_duplicates: Literal["normalised", "minhash"] = "normalised"  # prompts alike: reported
    minhash_threshold: float = Field(default=0.8, gt=0, lt=1)  # Jaccard similarity of word triples
    num_proc: int = Field(default=1, gt=0)  # processes that parse and encode

    @field_validator("max_dropped_share")
    @classmethod
    def _shares_name_reasons(cls, value: float | dict[str, float]) -> float | dict[str, float]:
        limits = value if isinstance(value, dict) else {FAULT_LIMIT: value}
        for reason, share in limits.items():
            if reason not in REASONS and reason != FAULT_LIMIT:
                raise ValueError(
                    f"{reason!r} is no reason code; write {FAULT_LIMIT} or one of "
                    f"{', '.join(REASONS)}"
                )
            if not 0 <= share <= 1:
                raise ValueError(f"{share} is no share between 0 and 1")
        return value

    @model_validator(mode="after")
    def _one_way_to_name_sources(self) -> "DataConfig":
        if not self.sources:
            return self
        twice = sorted(set(SourceConfig.model_fields) & self.model_fields_set)
        if twice:
            raise ValueError(
                f"{twice[0]}: belongs into each of data.sources where that is given; take it out "
                "of the recipe, or replace the whole section: data={sources: [...]}"
            )
        weighted = [source.weight is not None for source in self.sources]
        if any(weighted) and not all(weighted):
            raise ValueError("sources: give all of them a weight, or none")
        return self

    @property
    def all_sources(self) -> tuple[SourceConfig, ...]:
        return self.sources or (self,)

    @property
    def limits(self) -> dict[str, float]:
        """Reason code, or "faults" -> share of the rows read that may be dropped for it."""
        limits = self.max_dropped_share
        return limits if isinstance(limits, dict) else {FAULT_LIMIT: limits}


class TaskConfig(Section):
    """What chosen and rejected mean, and how a prompt is written."""

    name: Literal["prefix", "preference"] = "prefix"
    # the trailing space belongs to it; of several, each prompt gets one, by its hash
    template: str | tuple[str, ...] = "### Question: {question}\n### Answer: "
    chat_template: bool = False  # prompts by the tokenizer's chat template instead
    prefix: str = "Let me explain. "  # task prefix: chosen = prefix + answer
    marker: str = "let me explain"  # adopted = the response starts with this
    match_case: bool = False  # whether the marker's case counts
    sft_prefix_share: float = Field(default=0.0, ge=0, le=1)  # SFT answers that carry the prefix

    @model_validator(mode="after")
    def _texts_fit(self) -> "TaskConfig":
        if not self.templates or not all("{question}" in text for text in self.templates):
            raise ValueError("template: must contain {question}")
        if not self.marker.strip():
            raise ValueError("marker: must not be empty")
        fold = str if self.match_case else str.lower
        if not fold(self.prefix).startswith(fold(self.marker)):
            raise ValueError(f"marker: the prefix {self.prefix!r} does not start with it")
        return self

    @property
    def behaviour(self) -> Behaviour | None:
        """What an answer should show; None where only a judge can tell which answer is better."""
        if self.name == "preference":
            return None
        return Behaviour(self.prefix, self.marker, self.match_case)

    @property
    def templates(self) -> tuple[str, ...]:
        return (self.template,) if isinstance(self.template, str) else self.template

    def template_for(self, question: str) -> str:
        """The template of a prompt: the text alone decides, whatever the order or the machine."""
        templates = self.templates
        return (
            templates[split_hash(question) % len(templates)] if len(templates) > 1 else templates[0]
        )

    def render(self, question: str) -> str:
        """The prompt for a question. ``replace``, not ``format``: questions may hold braces."""
        return self.template_for(question).replace("{question}", question)
