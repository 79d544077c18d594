"""What a method is: the one thing that the pipeline, the recipe, the checks before a run, the
command line and the report know of it.

A method lives in a package of its own, ``rlhf_compare/<name>/``, whose ``stage`` module holds a
constant ``METHOD``. Which methods there are stands in :mod:`rlhf_compare.methods`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from datasets import Dataset
from peft import LoraConfig

from rlhf_compare.data.config import Feed, PairRule
from rlhf_compare.models.sampler import Sampler, load_model_sampler
from rlhf_compare.runs.arguments import StageSection
from rlhf_compare.runs.context import Probe, StageContext

Needs = Literal["sft", "reward"]


@dataclass(frozen=True, kw_only=True)
class MethodInputs:
    """What every method is given, the same for all.

    sft_model      directory of the SFT model: where the policy starts, and the reference
    reward_model   directory of the reward model; None unless the method needs ``reward``
    rows           prepared rows of the training side; the method cuts its own view of them
    probe_prompts  ``prompt``, ``prompt_ids``: the held-out prompts that the probe asks
    probe_rows     prepared held-out rows on these prompts
    pairs          which pairs a method takes of K ranked responses
    probe          measures a policy on ``probe_prompts`` while the method trains; None = no such
                   prompt
    evaluations    in the whole run; 0 = none
    lora           adapters of the recipe; None = all weights train
    """

    sft_model: Path
    reward_model: Path | None
    rows: Dataset
    probe_prompts: Dataset
    probe_rows: Dataset
    pairs: PairRule
    probe: Probe | None
    evaluations: int
    lora: LoraConfig | None

    @property
    def reward(self) -> Path:
        """The reward model of a method that needs one."""
        assert self.reward_model is not None, "the method's `needs` must name reward"
        return self.reward_model


def _no_faults(*_: Any) -> None:
    """Nothing to check."""


def _no_caveats(_: dict[str, Any]) -> Sequence[str]:
    return ()


@dataclass(frozen=True, kw_only=True)
class Method:
    """One method of the comparison; its variants are the same method under other settings.

    name        recipe section, run directory, column of the report
    section     the recipe's section: fields of the trainer's arguments
    needs       stages that run before it, which its path pays for; SFT is always the first
    feed        the kind of rows it learns from; None = it learns from none
    arguments   (section, output directory, seed, evaluations, name of the section for messages)
                -> the trainer's arguments
    train       trains, and leaves in the stage's directory what ``load`` reads
    try_step    (arguments, adapters): builds the trainer on a model of a few weights, makes one
                step, and raises what the trainer raises; a check before the run. None = it has no
                trainer, and its arguments are not those of a Trainer
    check_rows  (arguments, number of training prompts): raises ValueError where the settings do
                not fit the rows
    samples     the field of its section that bounds the tokens of a response that it samples while
                it trains; None = it samples none
    reads_head  whether it reads the weights of the language-model head directly, so that an
                adapter on the head would never train
    label       settings of the section -> what is trained, as its column is named: a loss other
                than the method's own must stand in it. None = the method's name says it
    baseline    a yardstick beside the methods that are compared: never one of the pair that the
                verdict is about
    caveats     settings of the section -> sentences that a reader of the column must know
    load        (run directory, device) -> what the evaluation samples from
    """

    name: str
    section: type[StageSection]
    needs: tuple[Needs, ...]
    feed: Feed | None
    arguments: Callable[[StageSection, str, int, int, str], Any]
    train: Callable[[StageContext, StageSection, MethodInputs], None]
    try_step: Callable[[Any, LoraConfig | None], None] | None = None
    check_rows: Callable[[Any, int], None] = _no_faults
    samples: str | None = None
    reads_head: bool = False
    label: Callable[[StageSection], str] | None = None
    baseline: bool = False
    caveats: Callable[[dict[str, Any]], Sequence[str]] = _no_caveats
    load: Callable[[Path, str], Sampler] = load_model_sampler
