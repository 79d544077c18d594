"""Decisions that depend on a text alone: the same whatever the order, the seed or the machine."""

import hashlib


def hash_64(text: str) -> int:
    """The first 64 bits of a text's SHA-256: a whole number in [0, 2^64)."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
