"""What can be known to fail before anything trains, so that no fault waits for hours.

models    the policy and a reward backbone, built without weights; how long a text they take
lora      the adapters, put on that policy
trainers  what a stage's settings lead to: its optimizer, schedule, loader, loss
trials    each trainer itself, built on a model of a few weights
rows      what the ledger knows once the data are prepared
check     all of them in order, every fault at once
"""

from rlhf_compare.preflight.check import check_recipe
from rlhf_compare.preflight.rows import check_rows

__all__ = ["check_recipe", "check_rows"]
