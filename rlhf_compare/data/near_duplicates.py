"""Prompts that are nearly the same: reported, and counted across the two sides."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from rlhf_compare.data.selection import RowIndex
from rlhf_compare.data.splits import normalise
from rlhf_compare.errors import RecipeError

_PERMUTATIONS = 128
_SHINGLE = 3  # words


def by_letters(index: RowIndex) -> dict[str, Any]:
    """Prompts that differ in case, blanks or punctuation alone."""
    kept = np.flatnonzero(index.kept)
    prompts, first = np.unique(index.prompt_key[kept], return_index=True)
    _, group = np.unique(index.loose_key[kept][first], return_inverse=True)
    size = np.bincount(group)
    held = index.held_out[kept][first]
    trained = np.bincount(group, weights=~held, minlength=len(size)) > 0
    return {
        "method": "letters and digits alone",
        "prompts": len(prompts),
        "prompts_with_a_near_duplicate": int((size[group] > 1).sum()),
        "across_sides": int((trained[group] & held).sum()),
    }


def by_minhash(prompts: Iterable[tuple[str, bool]], threshold: float) -> dict[str, Any]:
    """Prompts whose sets of word triples are alike (Broder 1997).

    Args:
        prompts: (text, held out) of every different prompt; its signature stays in memory.
        threshold: Jaccard similarity from which two count as alike; an estimate from 128
            permutations, off by about 0.04 (one deviation) at 0.8.

    Raises:
        RecipeError: the library is not installed.
    """
    minhash, lsh_class = _library()
    lsh = lsh_class(threshold=threshold, num_perm=_PERMUTATIONS)
    sides, alike, across = [], set(), set()
    for place, (prompt, held_out) in enumerate(prompts):
        signature = minhash(num_perm=_PERMUTATIONS)
        signature.update_batch([triple.encode() for triple in _triples(prompt)])
        sides.append(held_out)
        for other in lsh.query(signature):
            alike |= {place, other}
            if held_out != sides[other]:
                across.add(place if held_out else other)
        lsh.insert(place, signature)
    return {
        "method": f"MinHash, similarity {threshold:g} or more",
        "prompts": len(sides),
        "prompts_with_a_near_duplicate": len(alike),
        "across_sides": len(across),
    }


def require_library() -> None:
    """Fail before anything is read, not after.

    Raises:
        RecipeError: datasketch is not installed.
    """
    _library()


def _library() -> tuple[Any, Any]:
    try:
        from datasketch import MinHash, MinHashLSH
    except ImportError as error:
        raise RecipeError(
            "data.near_duplicates: minhash needs the library datasketch; "
            "pip install 'rlhf-compare[near-duplicates]', or set data.near_duplicates=normalised"
        ) from error
    return MinHash, MinHashLSH


def _triples(prompt: str) -> set[str]:
    words = normalise(prompt).split()
    return {" ".join(words[i : i + _SHINGLE]) for i in range(max(1, len(words) - _SHINGLE + 1))}
