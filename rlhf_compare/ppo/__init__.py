"""Proximal policy optimisation against a learned reward, R(x, y) = r(x, y) - beta * log ratio."""

from rlhf_compare.ppo.batch_generation import batch_generation
from rlhf_compare.ppo.config import PPOConfig
from rlhf_compare.ppo.trainer import PPOTrainer
from rlhf_compare.tensors.masked import masked_mean, masked_var, masked_whiten

__all__ = [
    "PPOConfig",
    "PPOTrainer",
    "batch_generation",
    "masked_mean",
    "masked_var",
    "masked_whiten",
]
