"""The ``best_of_n:`` section: how many answers are sampled, and how."""

from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Ge

from rlhf_compare.runs.arguments import section_of


@dataclass
class BestOfNConfig:
    """The settings of one stage.

    At temperature 1 the samples are those of the SFT model itself, and theory bounds the drift; at
    another temperature they are not, so no bound is stated.
    """

    n: Annotated[int, Ge(1)] = field(
        default=16, metadata={"help": "answers sampled to each prompt"}
    )
    temperature: float = field(default=1.0, metadata={"help": "of the sampling"})


BestOfNSection = section_of(BestOfNConfig, "BestOfNSection")
