"""The ``reward:`` section: fields of ``trl.RewardConfig``."""

from trl import RewardConfig

from rlhf_compare.runs.arguments import section_of

RewardSection = section_of(RewardConfig, "RewardSection")
