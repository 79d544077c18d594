"""RLHF with PPO, or DPO? Train both from one SFT model, measure both, read one page."""

import os

__version__ = "0.1.0"

# Nobody who compares two methods agreed to be counted by a third party. Hugging Face's libraries
# read this once, when they are first imported.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
