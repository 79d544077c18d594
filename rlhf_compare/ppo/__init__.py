"""Proximal policy optimisation against a learned reward, R(x, y) = r(x, y) - beta * log ratio."""

from rlhf_compare.ppo.config import PPOConfig
from rlhf_compare.ppo.trainer import PPOTrainer

__all__ = ["PPOConfig", "PPOTrainer"]
