"""Checks of a reward model's scores, each with a verdict and an advice.

Everything here is a function of numbers; ``evaluate.py`` computes them with a model. The limits are
the constants below. ``fail``: a policy would learn something other than the task, so methods refuse
to start. ``warn``: a person should look. ``n/a``: the check does not apply here.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from rlhf_compare.reward.pair_gaps import PairGaps

Verdict = Literal["ok", "warn", "fail", "n/a"]

WEAK_ACCURACY = 0.6  # held-out accuracy: warn below; fail where its interval reaches 0.5
STRIPPED_DROP = 0.1  # accuracy lost with the prefix: warn above
CALIBRATION_ERROR = 0.1  # warn above
INVARIANCE = (0.005, 0.05)  # change by padding, in standard deviations of the score: warn, fail
LENGTH_WARN = (0.5, 0.1)  # partial correlation and effect, both reached: see length_check
LENGTH_FAIL = (0.8, 0.25)
TOP_SHARE = 99.0  # a degenerate text over this percentile of real ones: fail; over chosen: warn


@dataclass(frozen=True, kw_only=True)
class Check:
    """The result of one check.

    value, low, high  the number and its 95 % interval; None where there is none
    sentence          what the number means and what to do about it
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    verdict: Verdict
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """All checks, and what their figure shows.

    calibration  bins of confidence: ``confidence``, ``accuracy`` (means), ``pairs``
    by_margin    quarters of the pairs by predicted margin: ``margin``, ``accuracy``, ``pairs``
    by_prompt    share of pairs in order, prompt by prompt: two models on the same prompts compare
    """

    checks: list[Check]
    calibration: list[dict[str, float]] = field(default_factory=list)
    by_margin: list[dict[str, float]] = field(default_factory=list)
    by_prompt: list[float] = field(default_factory=list)

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if check.verdict == "fail"]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Diagnosis":
        return cls(**{**values, "checks": [Check(**check) for check in values["checks"]]})


def accuracy_check(gaps: PairGaps) -> Check:
    value, low, high = gaps.accuracy()
    verdict: Verdict = "fail" if low <= 0.5 else "warn" if value < WEAK_ACCURACY else "ok"
    sentence = {
        "ok": "orders unseen pairs better than chance",
        "warn": "only a little better than chance: expect PPO to follow its mistakes; more pairs "
        "help most",
        "fail": "not shown to be better than chance (0.5) on unseen pairs: more pairs, more epochs "
        "or a larger model",
    }[verdict]
    return Check(
        name="held_out_accuracy", value=value, low=low, high=high, verdict=verdict,
        sentence=sentence,
    )  # fmt: skip


def stripped_check(gaps: PairGaps, stripped: PairGaps | None, why_not: str) -> Check:
    """Accuracy with the prefix removed from every response that begins with it."""
    name = "accuracy_without_prefix"
    if stripped is None:
        return Check(name=name, value=None, verdict="n/a", sentence=why_not)
    value, low, high = stripped.accuracy()
    lost = gaps.accuracy()[0] - value
    sentence = (
        f"the prefix alone carries {lost:.2f} of the accuracy: the score is for the style"
        if lost > STRIPPED_DROP
        else "it does not live on the prefix"
    )
    verdict: Verdict = "warn" if lost > STRIPPED_DROP else "ok"
    return Check(name=name, value=value, low=low, high=high, verdict=verdict, sentence=sentence)


def margin_check(quarters: list[dict[str, float]]) -> Check:
    """Accuracy in the quarter of the pairs with the largest predicted margin."""
    small, large = quarters[0]["accuracy"], quarters[-1]["accuracy"]
    return Check(
        name="accuracy_by_margin",
        value=large,
        verdict="ok" if large >= small else "warn",
        sentence=f"of the pairs it is surest of; {small:.2f} of those it is least sure of"
        + ("" if large >= small else ": its confidence misleads, do not weigh by margin"),
    )


def calibration_check(bins: list[dict[str, float]]) -> Check:
    """Expected calibration error: mean over pairs of |confidence - accuracy| of their bin."""
    total = sum(b["pairs"] for b in bins)
    error = sum(b["pairs"] * abs(b["confidence"] - b["accuracy"]) for b in bins) / total
    claimed = sum(b["pairs"] * b["confidence"] for b in bins) / total
    done = sum(b["pairs"] * b["accuracy"] for b in bins) / total
    bad = error > CALIBRATION_ERROR
    direction = "over-confident: smooth labels or train less" if claimed > done else "too modest"
    return Check(
        name="calibration_error",
        value=error,
        verdict="warn" if bad else "ok",
        sentence=f"claims {claimed:.2f}, reaches {done:.2f}" + (f": {direction}" if bad else ""),
    )


def invariance_check(changes: Sequence[float], spread: float) -> Check:
    """Largest change of a score by the batch and the padding it is computed in.

    Args:
        changes: differences between the same sequence scored in two ways.
        spread: standard deviation of the scores.
    """
    largest = max(map(abs, changes))
    value = largest / spread if spread > 0 else float(largest > 0)
    warn, fail = INVARIANCE
    verdict: Verdict = "fail" if value >= fail else "warn" if value >= warn else "ok"
    sentence = {
        "ok": "standard deviations: padding and batch do not change a score",
        "warn": "standard deviations: rounding is coarse; score in float32",
        "fail": "standard deviations: a score depends on its neighbours in the batch; look at the "
        "mask and at dropout",
    }[verdict]
    return Check(name="padding_invariance", value=value, verdict=verdict, sentence=sentence)


def length_check(
    scores: Sequence[Sequence[float]],
    ranks: Sequence[Sequence[float]],
    lengths: Sequence[Sequence[int]],
    prompt_lengths: Sequence[int],
    gaps: PairGaps,
) -> Check:
    """Correlation of score and length among responses of the same rank.

    Chosen responses may be longer; then a correct score correlates with length. So the part that
    rank and prompt length explain linearly is first removed from both. The effect is the score of
    one standard deviation of length, as a multiple of the mean margin: a correlation with a small
    effect does not matter.
    """
    places = np.concatenate([_places(order) for order in ranks])
    known = np.stack([places, np.repeat(prompt_lengths, [len(order) for order in ranks])], 1)
    score, length = (
        _without(known, np.concatenate([np.array(v, dtype=float) for v in values]))
        for values in (scores, lengths)
    )
    spread = float(score.std() * length.std())
    r = float((score * length).mean()) / spread if spread > 1e-12 else 0.0
    effect = abs(r) * float(score.std()) / max(float(gaps.ahead.mean()), 1e-9)
    reached = [abs(r) >= c and effect >= e for c, e in (LENGTH_WARN, LENGTH_FAIL)]
    verdict: Verdict = "fail" if reached[1] else "warn" if reached[0] else "ok"
    way = "longer" if r > 0 else "shorter"
    sentence = f"a standard deviation of length is worth {effect:.2f} mean margins"
    if verdict != "ok":
        sentence += f": it pays for {way} answers; balance the lengths of the pairs"
    return Check(name="length_correlation", value=r, verdict=verdict, sentence=sentence)


def _places(ranks: Sequence[float]) -> np.ndarray:
    """Rank of each response to a prompt, from 0 = worst to 1 = best; ties share a rank."""
    _, place = np.unique(np.array(ranks), return_inverse=True)
    return place / max(int(place.max()), 1)


def _without(known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Residuals of a least-squares fit on (N, 2) known columns and a constant."""
    columns = np.concatenate([known, np.ones((len(known), 1))], 1)
    residuals: np.ndarray = values - columns @ np.linalg.lstsq(columns, values, rcond=None)[0]
    return residuals


def degenerate_check(
    name: str,
    score: float | None,
    chosen: float,
    top: float,
    what: str,
    is_the_task: bool = False,
) -> Check:
    """A useless text must score below the chosen responses.

    Args:
        score: of the text; None = there is no such text.
        chosen: median score of chosen responses to the same prompts.
        top: score that only 1 % of real responses reach.
        is_the_task: the task itself rewards this text, so a high score is a warning, not a failure.
    """
    if score is None:
        return Check(name=name, value=None, verdict="n/a", sentence=what)
    verdict: Verdict = "ok" if score < chosen else "fail" if score > top else "warn"
    if is_the_task and verdict == "fail":
        verdict = "warn"
    sentence = f"{what}; chosen responses have {chosen:.2f} (median)"
    if verdict != "ok":
        sentence += f", the best 1 % of real ones {top:.2f}: PPO will find this text"
        sentence += (
            "; watch response length and KL"
            if is_the_task
            else "; add such texts as rejected responses, or train on more pairs"
        )
    return Check(name=name, value=score, verdict=verdict, sentence=sentence)


def sft_check(sampled: Sequence[float] | None, chosen: Sequence[float]) -> Check:
    """Scores of the SFT model's own samples, from which PPO starts."""
    name = "sft_samples"
    if sampled is None:
        return Check(
            name=name, value=None, verdict="n/a",
            sentence="it does not start from the SFT model, so there is none here to sample from",
        )  # fmt: skip
    mean, spread = float(np.mean(sampled)), float(np.std(sampled))
    above = mean >= float(np.mean(chosen))
    sentence = f"mean score, standard deviation {spread:.2f}; chosen have {np.mean(chosen):.2f}"
    if above:
        sentence += ": samples already score as high, so PPO has nothing right to learn from it"
    return Check(name=name, value=mean, verdict="warn" if above else "ok", sentence=sentence)
