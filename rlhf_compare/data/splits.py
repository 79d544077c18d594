"""Which part a prompt lives in. The same for every stage, method, seed and machine.

Groups of rows that must not part (a topic, or rows that share a prompt) go as one, by hash, to one
of five parts: training, judge (teaches the judge alone), and of what is held out probe, tuning and
judging.
"""

from typing import Any, Literal, get_args

import numpy as np

from rlhf_compare.data.hashing import hash_64

HeldOutPart = Literal["judging", "probe", "tuning"]
HELD_OUT_PARTS: tuple[HeldOutPart, ...] = get_args(HeldOutPart)  # where groups are few, first first
_JUDGING, _PROBE = 0.6, 0.2  # of the groups held out; the rest is for tuning


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


def teaches_the_judge(groups: np.ndarray, judge_share: float) -> np.ndarray:
    """Which of the groups that are not held out go to the judge: (N,) hashes to (N,) booleans."""
    chosen: np.ndarray = _second(groups) < judge_share
    return chosen


def held_out_parts(groups: np.ndarray) -> np.ndarray:
    """The part of each row held out, by the hash of its group: (N,) of ``HELD_OUT_PARTS``.

    About three fifths are for judging, a fifth for the probe and a fifth for tuning. Where groups
    are so few that a part would be empty, it takes the nearest group of the largest part that can
    spare one: judging first, then the probe, then tuning, so that one group judges, two give a
    probe too.
    """
    names, place = np.unique(groups, return_inverse=True)
    where = _second(names)
    cuts = np.digitize(where, [_JUDGING, _JUDGING + _PROBE])  # 0, 1, 2: as in HELD_OUT_PARTS
    for part in range(len(HELD_OUT_PARTS)):
        sizes = np.bincount(cuts, minlength=len(HELD_OUT_PARTS))
        spare = sizes - (np.arange(len(sizes)) < part)  # the parts before keep one
        giver = int(spare.argmax())
        if sizes[part] or spare[giver] < 1:
            continue
        given = np.flatnonzero(cuts == giver)
        nearest = where[given].argmax() if giver < part else where[given].argmin()
        cuts[given[nearest]] = part
    parts: np.ndarray = np.array(HELD_OUT_PARTS)[cuts[place]]
    return parts


def _second(groups: np.ndarray) -> np.ndarray:
    """A second hash in [0, 1): the low half of the first, whose high half has drawn the side."""
    low = groups.astype(np.uint64) & np.uint64(2**32 - 1)
    shares: np.ndarray = low.astype(np.float64) / 2.0**32
    return shares
