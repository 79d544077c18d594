"""The five parts that the rows are in at the end, and how large each is."""

import numpy as np

from rlhf_compare.data.selection import RowIndex
from rlhf_compare.data.splits import HELD_OUT_PARTS, held_out_parts


def part_sizes(index: RowIndex) -> dict[str, dict[str, int]]:
    """Of train, judge, judging, probe and tuning: rows kept, different prompts, and groups that
    stay together. No prompt is in two of them."""
    held = np.flatnonzero(index.kept & index.held_out)
    cut = held_out_parts(index.group[held])
    parts: dict[str, np.ndarray] = {
        "train": np.flatnonzero(index.train),
        "judge": np.flatnonzero(index.kept & index.judge),
        **{name: held[cut == name] for name in HELD_OUT_PARTS},
    }
    prompts = {name: np.unique(index.prompt_key[rows]) for name, rows in parts.items()}
    everywhere = np.concatenate(list(prompts.values()))
    twice = len(everywhere) - len(np.unique(everywhere))
    assert twice == 0, f"{twice} prompts in two parts"
    return {
        name: {
            "rows": len(rows),
            "prompts": len(prompts[name]),
            "groups": len(np.unique(index.group[rows])),
        }
        for name, rows in parts.items()
    }
