"""How long prompts and responses are, counted before the limits cut."""

from typing import Any

import numpy as np

from rlhf_compare.data.config import DataConfig


class Lengths:
    """Counts by number of tokens. Everything from four times the limit on is counted as that.

    prompt      tokens of the prompt
    sequence    tokens of the prompt and its longest response, EOS included
    """

    def __init__(self, data: DataConfig) -> None:
        self.limits = {"prompt": data.max_prompt_length, "sequence": data.max_length}
        self.longest = dict.fromkeys(self.limits, 0)
        self.counts = {
            name: np.zeros(4 * limit + 1, np.int64) for name, limit in self.limits.items()
        }

    def add(self, prompts: np.ndarray, longest: np.ndarray) -> None:
        """Count rows.

        Args:
            prompts: (N,) tokens of each prompt.
            longest: (N,) tokens of each row's longest response.
        """
        for name, values in (("prompt", prompts), ("sequence", prompts + longest)):
            counts = self.counts[name]
            self.longest[name] = max(self.longest[name], int(values.max(initial=0)))
            counts += np.bincount(np.minimum(values, len(counts) - 1), minlength=len(counts))

    def as_dict(self) -> dict[str, Any]:
        """Limit, quantiles, and counts: entry i = rows of i tokens, to the longest that occurs."""
        return {
            name: {
                "limit": self.limits[name],
                "over_limit": int(counts[self.limits[name] + 1 :].sum()),
                "quantiles": {**_quantiles(counts), "max": self.longest[name]},
                "counts": np.trim_zeros(counts, "b").tolist(),
            }
            for name, counts in self.counts.items()
        }


def _quantiles(counts: np.ndarray) -> dict[str, int]:
    total = np.cumsum(counts)
    shares = {"min": 0.0, "p50": 0.5, "p90": 0.9, "p99": 0.99}
    if total[-1] == 0:
        return dict.fromkeys(shares, 0)
    return {
        name: int(np.searchsorted(total, max(share * total[-1], 1)))
        for name, share in shares.items()
    }
