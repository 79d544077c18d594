"""Which side a prompt lives on. The same for every stage, method, seed and machine."""

from typing import Any

from rlhf_compare.data.hashing import hash_64


def normalise(text: str) -> str:
    """Case and white space do not make a different prompt."""
    return " ".join(text.lower().split())


def split_hash(key: str) -> int:
    """Where the hash of a group (a topic, or a normalised prompt) falls, in [0, 2^64)."""
    return hash_64(f"split:{normalise(key)}")


def is_held_out(hashes: Any, eval_share: float) -> Any:
    """Which groups are held out, by an array of their hashes; or whether one is, by its hash.

    Hashed, not drawn: adding rows moves no other row, and duplicates stay together.
    """
    return hashes / 2.0**64 < eval_share
