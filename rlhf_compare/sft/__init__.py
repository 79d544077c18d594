"""Supervised fine-tuning. Its model is the start and the reference of every method."""
