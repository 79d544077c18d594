"""How often a judge prefers the answers of one method to those of another.

A row is ``{"a", "b", "judge", "share", "ties", "consistent", "verdict", "headline", "p_value",
"p_adjusted", "excluded"}``: ``share`` is of a over b, a tie counts one half, and 0.5 is a draw.
Everything is compared under one seed's judge, never across seeds, and averaged then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlhf_compare.evaluation.intervals import difference, estimate
from rlhf_compare.evaluation.measure import Measurement
from rlhf_compare.evaluation.preferences import Agreement
from rlhf_compare.evaluation.random_effects import Array

# reward models first: they are asked about every prompt, and a policy saw none of this one's scores
JUDGE, PROXY, ENDPOINT = "reward.held_out", "reward.proxy", "endpoint"
JUDGES = (JUDGE, ENDPOINT, PROXY)
_METRIC = "win_rate"


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """What one judge said of two methods' answers under one seed: one number a prompt, None where
    it was not asked about that prompt.

    share       comparisons that a's answer won, a tie counting one half
    ties        comparisons that nobody won
    consistent  1 = both orders of the two answers gave one verdict, 0 = they did not; empty for a
                judge that reads one answer at a time and knows no order
    """

    share: Sequence[float | None]
    ties: Sequence[float | None]
    consistent: Sequence[float | None] = ()


def by_scores(a: Measurement, b: Measurement, judge: str) -> Opinion | None:
    """Of a reward model: each sampled answer of a against each of b to the same prompt.

    Equal texts tie whatever their scores, which differ by the rounding of a batch. None where one
    of the two was not scored by this judge.
    """
    if judge not in a.scores or judge not in b.scores:
        return None
    shares, ties = [], []
    for own, other, texts, others in zip(
        a.scores[judge], b.scores[judge], a.sampled, b.sampled, strict=True
    ):
        ahead = np.sign(np.subtract.outer(own, other))
        ahead[np.equal.outer(np.array(texts, dtype=object), np.array(others, dtype=object))] = 0.0
        shares.append(float((ahead.mean() + 1.0) / 2.0))
        ties.append(float((ahead == 0.0).mean()))
    return Opinion(share=shares, ties=ties)


def win_rates(
    names: tuple[str, str],
    runs: tuple[Sequence[Measurement], Sequence[Measurement]],
    asked: Sequence[Opinion | None] = (),
    headline: bool = False,
) -> list[dict[str, Any]]:
    """A row for each judge, to be completed by :func:`rlhf_compare.evaluation.verdicts.decide` and
    then by :func:`finish`.

    Args:
        names: a and b.
        runs: of each, the measurement of every seed that the two share, in one order.
        asked: of an endpoint, its opinion under each of these seeds; None = it was not asked.
        headline: whether the verdict on this pair rests on the first judge that there is.
    """
    rows: list[dict[str, Any]] = []
    for judge in JUDGES:
        opinions = asked
        if judge != ENDPOINT:
            opinions = [by_scores(a, b, judge) for a, b in zip(*runs, strict=True)]
        found = _row(names, judge, opinions, runs[0])
        if found is not None:
            rows.append({**found, "headline": headline and not rows and judge != PROXY})
    return rows


def _row(
    names: tuple[str, str],
    judge: str,
    opinions: Sequence[Opinion | None],
    runs: Sequence[Measurement],
) -> dict[str, Any] | None:
    """None where the judge did not speak under some seed, or of no prompt under all of them."""
    given = [one for one in opinions if one is not None]
    if not given or len(given) < len(opinions):
        return None
    topics = runs[0].topics
    share, kept = dense([one.share for one in given], topics)
    # of a's wins less b's: interval and p-value then agree about 0.5
    won = difference(share, 1.0 - share, kept, share=True)
    if won is None:
        return None
    asked_twice = dense([one.consistent for one in given], topics)
    return {
        "metric": f"{_METRIC}.{judge}",  # distinct, so that an adjusted p-value finds its row
        "a": names[0],
        "b": names[1],
        "judge": judge,
        "difference": won,
        "ties": estimate(*dense([one.ties for one in given], topics), share=True),
        "consistent": estimate(*asked_twice, share=True),
    }


def dense(
    rows: Sequence[Sequence[float | None]], topics: Sequence[int]
) -> tuple[Array, Array | None]:
    """(seeds, prompts) of the prompts with a number under every seed, and their topics."""
    kept = [i for i, values in enumerate(zip(*rows, strict=True)) if None not in values]
    values = np.array([[row[i] for i in kept] for row in rows], dtype=np.float64)
    return values, np.array([topics[i] for i in kept]) if topics else None


def finish(row: Mapping[str, Any]) -> dict[str, Any]:
    """A decided row as results.json holds it."""
    won = row["difference"]
    share = {
        **won,
        **{end: 0.5 + won[end] / 2 for end in ("mean", "low", "high")},
        "by_seed": [0.5 + one / 2 for one in won["by_seed"]],
    }
    excluded = row["excluded"]
    kept = ("a", "b", "judge", "ties", "consistent", "headline", "p_value", "p_adjusted")
    return {
        **{name: row[name] for name in kept},
        "share": share,
        "verdict": row["verdict"].replace(" higher", " preferred"),
        "excluded": None if excluded is None else excluded / 2,
    }


def is_win_rate(row: Mapping[str, Any]) -> bool:
    """Whether a decided row is one of these."""
    return "judge" in row


def judge_agreement(
    judge: str, found: Sequence[Agreement], consistent: Sequence[float | None], topics: list[int]
) -> dict[str, Any]:
    """How often a judge orders held-out pairs as their labels do, as results.json holds it.

    Args:
        found: of each seed's judge; a judge that is the same for all seeds has one.
        consistent: see :class:`Opinion`.
    """
    return {
        "judge": judge,
        "accuracy": estimate(*dense([one.accuracy for one in found], topics), share=True),
        "ties": estimate(*dense([one.ties for one in found], topics), share=True),
        "consistent": estimate(*dense([consistent], topics), share=True) if consistent else None,
    }
