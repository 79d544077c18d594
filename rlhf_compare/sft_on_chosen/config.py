"""The ``sft_on_chosen:`` section: fields of ``trl.SFTConfig``."""

from dataclasses import dataclass

import trl

from rlhf_compare.runs.arguments import section_of


@dataclass
class SFTOnChosenConfig(trl.SFTConfig):
    """TRL's fields under their own names, but for what would train on more than the chosen
    responses."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.completion_only_loss is False:
            raise ValueError(
                "completion_only_loss: false is refused: this baseline imitates the chosen "
                "responses, not the prompts; leave it out"
            )


SFTOnChosenSection = section_of(SFTOnChosenConfig, "SFTOnChosenSection")
