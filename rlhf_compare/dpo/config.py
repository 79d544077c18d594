"""The ``dpo:`` section: fields of ``trl.DPOConfig``."""

from trl import DPOConfig

from rlhf_compare.runs.arguments import section_of

DPOSection = section_of(DPOConfig, "DPOSection")
