"""The ``sft:`` section: fields of ``trl.SFTConfig``."""

from trl import SFTConfig

from rlhf_compare.runs.arguments import section_of

SFTSection = section_of(SFTConfig, "SFTSection")
