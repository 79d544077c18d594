"""Supervised fine-tuning: the start, and the reference, of both methods."""
