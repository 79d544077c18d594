"""The one harness: every policy answers the same held-out prompts, sampled the same way.

It sees checkpoints; it imports no stage's code.
"""
