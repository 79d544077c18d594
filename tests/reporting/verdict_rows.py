"""Results in which both methods are sound, and rows to change them by. MADE-UP NUMBERS."""

from collections.abc import Mapping
from typing import Any

from rlhf_compare.reporting.equal_schema import Equal
from rlhf_compare.reporting.schema import Comparison, Results
from rlhf_compare.reporting.verdict import verdict

from .conftest import against_sft, changed, compared

SEEDS = [0, 1, 2]


def equal(
    at: str, level: float, quantity: str, ppo: list[Any], dpo: list[Any], half: float | None
) -> Equal:
    """A row with a made-up half width; None = fewer than three seeds have both numbers."""
    pairs = zip(ppo, dpo, strict=True)
    gaps = [a - b for a, b in pairs if a is not None and b is not None]
    mean = sum(gaps) / len(gaps)
    low, high = (None, None) if half is None else (mean - half, mean + half)
    verdict = "two seeds: not decided" if half is None else "no difference shown"
    if (low is not None and low > 0) or (high is not None and high < 0):
        verdict = f"{'ppo' if mean > 0 else 'dpo'} higher"
    tested = None if half is None else 0.01
    return Equal.model_validate(
        {
            "at": at,
            "level": level,
            "quantity": quantity,
            "a": "ppo",
            "b": "dpo",
            "seeds": SEEDS,
            "by_seed": {"ppo": ppo, "dpo": dpo},
            "difference": {
                "mean": mean,
                "low": low,
                "high": high,
                "seeds": len(gaps),
                "p_value": tested,
            },
            "verdict": verdict,
            "p_adjusted": tested,
        }
    )


KL_AT_ADOPTION = equal("adoption", 0.75, "kl", [6.0, 7.0, 8.0], [5.0] * 3, 1.5)
SECONDS_AT_ADOPTION = equal("adoption", 0.75, "seconds", [60.0, 61.0, 62.0], [8.0] * 3, 3.0)
ADOPTION_AT_KL = equal("kl", 5.06, "adoption", [0.8, 0.8, 0.83], [0.93] * 3, 0.05)
ADOPTION_AT_SECONDS = equal("seconds", 10.0, "adoption", [0.05] * 3, [0.93] * 3, 0.01)
EQUAL = [KL_AT_ADOPTION, SECONDS_AT_ADOPTION, ADOPTION_AT_KL, ADOPTION_AT_SECONDS]

ADOPTION_ROW, DRIFT_ROW = "comparisons.0", "comparisons.1"


def sound_results(results: Results) -> Results:
    """Three seeds; both learned; DPO adopts further, no difference in KL, DPO's path is cheaper."""
    gains = [against_sft("adoption.exact", name, 0.8, 0.05) for name in ("ppo", "dpo")]
    spent = "cost.device_seconds.stages"
    return changed(
        results,
        {
            "provenance.seeds": SEEDS,
            "comparisons": [*results.comparisons, *gains],
            f"methods.ppo.{spent}.sft.by_seed": [20.0],
            f"methods.ppo.{spent}.reward.by_seed": [5.0, 5.0, 5.0],
            f"methods.ppo.{spent}.ppo.by_seed": [64.0, 65.0, 66.0],
            f"methods.dpo.{spent}.sft.by_seed": [20.0],
            f"methods.dpo.{spent}.dpo.by_seed": [9.0, 10.0, 11.0],
            "equal": EQUAL,
        },
    )


def runs(completed: int, failed: int = 0, collapsed: int = 0) -> dict[str, int]:
    return {"completed": completed, "failed": failed, "collapsed": collapsed}


def few(row: Comparison, seeds: int) -> Comparison:
    assert row.difference is not None
    words = ("one seed: not decided", "two seeds: not decided")[seeds - 1]
    difference = row.difference.model_copy(update={"seeds": seeds})
    return row.model_copy(update={"difference": difference, "verdict": words})


NEAR = compared("adoption.exact", "ppo", "dpo", -0.01, 0.03).model_copy(update={"excluded": 0.04})
FURTHER = compared("adoption.exact", "ppo", "dpo", 0.12, 0.03)
MORE_DRIFT = compared("kl_to_reference.exact", "ppo", "dpo", 0.9, 0.3)
STILL = against_sft("adoption.exact", "ppo", 0.0, 0.001)
FEW_ADOPTION, FEW_DRIFT = (
    few(compared(metric, "ppo", "dpo", *gap), 1)
    for metric, gap in (
        ("adoption.exact", (-0.12, 0.03)),
        ("kl_to_reference.exact", (-0.3, 0.7)),
    )
)
SAME_COST = {
    "methods.ppo.cost.device_seconds.stages.ppo.by_seed": [3.0, 5.0, 30.0],
    "methods.ppo.cost.device_seconds.stages.reward.by_seed": [0.0, 0.0, 0.0],
}
EFFICIENCY = compared("kl_to_reference.efficiency", "ppo", "dpo", -0.1, 0.05)
P0 = "The SFT model shows the behaviour with probability 0.050"

# (where, sentence or start of it, changes under which it stands there, least further changes under
# which it does not)
Case = tuple[str, str, Mapping[str, Any], Mapping[str, Any]]


def check(sound: Results, case: Case) -> None:
    """A sentence stands by its condition and falls with it."""
    where, sentence, appears, vanishes = case
    before = said(changed(sound, appears), where)
    assert sentence in before, before
    after = said(changed(changed(sound, appears), vanishes), where)
    assert sentence not in after, after


def said(results: Results, where: str) -> str:
    """The answer, a bullet by its number, or the rest."""
    found = verdict(results)
    if where.isdigit():
        return found.bullets[int(where)]
    return found.answer if where == "answer" else " ".join(found.rest)
