"""Score gaps of pairs: how far winners are ahead of losers; accuracy, margins, calibration."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

_BINS, _RESAMPLES = 10, 2000


@dataclass(frozen=True)
class PairGaps:
    """Pairs of responses to one prompt that the ranking tells apart.

    ahead    (M,) score of the winner less that of the loser
    prompts  (M,) which prompt a pair belongs to
    """

    ahead: np.ndarray
    prompts: np.ndarray

    @classmethod
    def of(cls, scores: Sequence[Sequence[float]], ranks: Sequence[Sequence[float]]) -> "PairGaps":
        """From the scores and the ranks of every prompt's responses."""
        ahead, prompts = [np.zeros(0)], [np.zeros(0, dtype=int)]
        for prompt, (own, order) in enumerate(zip(scores, ranks, strict=True)):
            s, r = np.array(own), np.array(order)
            winners, losers = np.nonzero(r[:, None] > r[None, :])
            ahead.append(s[winners] - s[losers])
            prompts.append(np.full(len(winners), prompt))
        return cls(np.concatenate(ahead), np.concatenate(prompts))

    def accuracy(self) -> tuple[float, float, float]:
        """Mean over prompts of the share of pairs whose winner scores strictly higher (equal
        scores are wrong), with a 95 % interval: Wilson's where every prompt has one pair, else a
        bootstrap over prompts, because the pairs of a prompt share its responses."""
        shares = self.by_prompt()
        if len(shares) == len(self.ahead):
            interval = binomtest(int(shares.sum()), len(shares)).proportion_ci(method="wilson")
            return float(shares.mean()), float(interval.low), float(interval.high)
        draws = np.random.default_rng(0).integers(len(shares), size=(_RESAMPLES, len(shares)))
        low, high = np.percentile(shares[draws].mean(1), (2.5, 97.5))
        return float(shares.mean()), float(low), float(high)

    def by_prompt(self) -> np.ndarray:
        """Share of pairs in order of each prompt that has any, in the prompts' order."""
        _, which = np.unique(self.prompts, return_inverse=True)
        return np.bincount(which, self.ahead > 0) / np.bincount(which)


def by_margin(gaps: PairGaps, parts: int = 4) -> list[dict[str, float]]:
    """Equal parts of the pairs, from the smallest predicted margin to the largest."""
    order = np.argsort(np.abs(gaps.ahead), kind="stable")
    return [
        {
            "margin": float(np.abs(gaps.ahead[part]).mean()),
            "accuracy": float((gaps.ahead[part] > 0).mean()),
            "pairs": len(part),
        }
        for part in np.array_split(order, parts)
        if len(part)
    ]


def calibration(gaps: PairGaps) -> list[dict[str, float]]:
    """Equal bins of confidence sigmoid(|margin|) in [0.5, 1]: what it claims and what it does."""
    confidence = 1.0 / (1.0 + np.exp(-np.abs(gaps.ahead)))
    index = np.minimum(((confidence - 0.5) * 2 * _BINS).astype(int), _BINS - 1)
    return [
        {
            "confidence": float(confidence[index == b].mean()),
            "accuracy": float((gaps.ahead[index == b] > 0).mean()),
            "pairs": int((index == b).sum()),
        }
        for b in range(_BINS)
        if (index == b).any()
    ]
