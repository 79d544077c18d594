"""The ``sft:`` section: fields of ``trl.SFTConfig``, and whether there is anything to train."""

from dataclasses import dataclass, field

from pydantic import model_validator
from trl import SFTConfig

from rlhf_compare.runs.arguments import section_of


@dataclass
class SFTStageConfig(SFTConfig):
    """SFTConfig, or the word that there is nothing to train."""

    given: bool = field(
        default=False,
        metadata={
            "help": "True = the model that the recipe names is instruction-tuned already: it is "
            "loaded, saved, and is start and reference as it stands; no row of demonstrations is "
            "needed. Takes no other field beside it"
        },
    )


class SFTSection(section_of(SFTStageConfig, "SFTFields")):  # type: ignore[misc]
    """Fields given in the recipe; ``given: true`` stands alone."""

    @model_validator(mode="after")
    def _nothing_trains_what_is_given(self) -> "SFTSection":
        others = [name for name in self.set_fields() if name != "given"]
        if self.given and others:
            raise ValueError(
                f"given: the start is not trained, so {', '.join(others)} would do nothing; leave "
                "them out, or replace the whole section: sft={given: true}"
            )
        return self
