"""Which side a prompt lives on. The same for every stage, method, seed and machine."""

import hashlib
from typing import Any


def normalise(text: str) -> str:
    """Case and white space do not make a different prompt."""
    return " ".join(text.lower().split())


def split_hash(key: str) -> int:
    """Where the hash of a group (a topic, or a normalised prompt) falls, in [0, 2^64)."""
    digest = hashlib.sha256(b"split:" + normalise(key).encode()).digest()
    return int.from_bytes(digest[:8], "big")


def is_held_out(hashes: Any, eval_share: float) -> Any:
    """Which groups are held out, by an array of their hashes; or whether one is, by its hash.

    Hashed, not drawn: adding rows moves no other row, and duplicates stay together.
    """
    return hashes / 2.0**64 < eval_share
