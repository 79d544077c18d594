"""The two methods that the oracle is about, by the names that they have everywhere."""

from rlhf_compare.dpo.stage import METHOD as _DPO
from rlhf_compare.ppo.stage import METHOD as _PPO

PPO_NAME, DPO_NAME = _PPO.name, _DPO.name
