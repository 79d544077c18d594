"""Measurements against other software; nothing in ``rlhf_compare`` imports from here."""
