"""Every sentence of the verdict has its condition: for each, results in which it appears and the
least change that makes it vanish or turn. MADE-UP NUMBERS."""

from collections.abc import Mapping
from typing import Any

import pytest

from rlhf_compare.reporting.equal_schema import Equal
from rlhf_compare.reporting.report import write_report
from rlhf_compare.reporting.results import ResultsError
from rlhf_compare.reporting.schema import Comparison, Failure, Results
from rlhf_compare.reporting.tables import equal_table
from rlhf_compare.reporting.verdict import verdict

from .conftest import against_sft, changed, compared, estimate, only, unmeasured

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


@pytest.fixture
def sound(results: Results) -> Results:
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
CASES: dict[str, tuple[str, str, Mapping[str, Any], Mapping[str, Any]]] = {
    "one method is ahead in all that is shown": (
        "answer",
        "DPO adopts further (0.930 against 0.810) and costs 3.0 times less device time; also at "
        "equal adoption by drift, at equal adoption by time, at equal KL and at equal seconds; no "
        "difference shown in exact KL.",
        {},
        {"equal.2": equal("kl", 5.06, "adoption", [0.99] * 3, [0.9] * 3, 0.05)},
    ),
    "it depends": (
        "answer",
        "It depends: PPO adopts further (0.810 against 0.930); DPO costs 3.0 times less device "
        "time; ahead: DPO at equal adoption by drift, at equal adoption by time, at equal KL and "
        "at equal seconds; no difference shown in exact KL.",
        {ADOPTION_ROW: FURTHER},
        {ADOPTION_ROW: NEAR},
    ),
    "who is ahead turns with a row at equal things": (
        "answer",
        "ahead: PPO at equal KL, DPO at equal adoption by drift",
        {"equal.2": equal("kl", 5.06, "adoption", [0.99] * 3, [0.9] * 3, 0.05)},
        {"equal.2": equal("kl", 5.06, "adoption", [0.99] * 3, [0.9] * 3, 0.1)},
    ),
    "the drift is a finding": (
        "answer",
        "DPO adopts further (0.930 against 0.810), drifts less (4.90 against 4.60 nats per "
        "response) and costs",
        {DRIFT_ROW: MORE_DRIFT},
        {DRIFT_ROW: compared("kl_to_reference.exact", "ppo", "dpo", 0.9, 1.0)},
    ),
    "the price is a finding beyond the spread of the seeds": (
        "answer",
        "costs 3.0 times less device time",
        {},
        SAME_COST,
    ),
    "nothing is shown": (
        "answer",
        "No difference shown between PPO and DPO: exact adoption (more than 0.040 is excluded), "
        "exact KL and device time.",
        {ADOPTION_ROW: NEAR, "equal": [], **SAME_COST},
        {"equal": EQUAL[3:]},
    ),
    "one seed is a direction": (
        "answer",
        "A direction, no verdict (one seed): DPO has the higher exact adoption (0.930 against "
        "0.810), PPO has the lower exact KL (4.60 against 4.90 nats per response), DPO has the "
        "lower path device time (30.0 against 90.0 seconds).",
        {ADOPTION_ROW: FEW_ADOPTION, DRIFT_ROW: FEW_DRIFT},
        {ADOPTION_ROW: NEAR},
    ),
    "numbers that print the same are called equal": (
        "answer",
        "equal exact adoption (0.810)",
        {ADOPTION_ROW: FEW_ADOPTION, "methods.dpo.adoption.exact": estimate(0.8101, 0.02)},
        {"methods.dpo.adoption.exact": estimate(0.811, 0.02)},
    ),
    "two seeds are a direction": (
        "rest",
        'Two seeds: a direction, no verdict. What would decide: rlhf-compare compare --recipe tiny '
        '--seeds "0 4 5".',
        {ADOPTION_ROW: few(NEAR, 2), DRIFT_ROW: few(MORE_DRIFT, 2), "provenance.seeds": [4, 5]},
        {ADOPTION_ROW: NEAR, DRIFT_ROW: MORE_DRIFT, "provenance.seeds": [4, 5, 6]},
    ),
    "half of the runs failed": (
        "answer",
        "Only DPO can be recommended (exact adoption 0.930): PPO failed in 2 of 4 runs.",
        {"methods.ppo.runs": runs(2, failed=2)},
        {"methods.ppo.runs": runs(3, failed=2)},
    ),
    "a winner by numbers of which half failed wins nothing": (
        "answer",
        "Only PPO can be recommended (exact adoption 0.810): DPO collapsed in 2 of 3 runs.",
        {"methods.dpo.runs": runs(3, collapsed=2)},
        {"methods.dpo.runs": runs(3, collapsed=1)},
    ),
    "fewer than half of the runs failed": (
        "answer",
        "; PPO failed in 1 and collapsed in 1 of 5 runs.",
        {"methods.ppo.runs": runs(4, failed=1, collapsed=1)},
        {"methods.ppo.runs": runs(5)},
    ),
    "both failed": (
        "answer",
        "Neither PPO nor DPO can be recommended: PPO failed in 2 of 4 runs, DPO collapsed in 3 of "
        "3 runs.",
        {"methods.ppo.runs": runs(2, failed=2), "methods.dpo.runs": runs(3, collapsed=3)},
        {"methods.dpo.runs": runs(3)},
    ),
    "one did not move": (
        "answer",
        "Only DPO can be recommended (exact adoption 0.930): PPO did not move from the SFT model "
        "(exact KL 0.000 nats).",
        {
            "comparisons.2": STILL,
            "methods.ppo.kl_to_reference.exact": estimate(0.0, 0.0),
        },
        {"methods.ppo.kl_to_reference.exact": estimate(0.4, 0.1)},
    ),
    "one did not learn": (
        "answer",
        "PPO did not learn the behaviour (0.050 against 0.050 before).",
        {"comparisons.2": STILL, "methods.ppo.adoption.exact": estimate(0.05, 0.01)},
        {"comparisons.2": against_sft("adoption.exact", "ppo", 0.1, 0.2)},
    ),
    "one is not shown to have learned": (
        "answer",
        "PPO is not shown to have learned the behaviour (0.810 against 0.050 before).",
        {"comparisons.2": against_sft("adoption.exact", "ppo", 0.1, 0.2)},
        {"comparisons.2": against_sft("adoption.exact", "ppo", 0.3, 0.2)},
    ),
    "neither moved": (
        "answer",
        "Neither PPO nor DPO moved from the SFT model: exact adoption of PPO",
        {
            "comparisons.2": STILL,
            "comparisons.3": against_sft("adoption.exact", "dpo", 0.0, 0.001),
            "methods.ppo.kl_to_reference.exact": estimate(0.0, 0.0),
            "methods.dpo.kl_to_reference.exact": estimate(0.001, 0.001),
        },
        {"methods.dpo.kl_to_reference.exact": estimate(0.1, 0.0)},
    ),
    "no difference was taken": (
        "answer",
        "No verdict: these results hold no paired difference between PPO and DPO, which were not "
        "compared.",
        {"comparisons": []},
        {"comparisons": [NEAR]},
    ),
    "no seed is shared": (
        "answer",
        "which share no seed.",
        {
            "comparisons": [],
            "methods.ppo.training": [{"seed": 0, "points": []}],
            "methods.dpo.training": [{"seed": 1, "points": []}],
        },
        {"methods.dpo.training": [{"seed": 0, "points": []}]},
    ),
    "the behaviour": (
        "0",
        "DPO moved further: exact adoption 0.930 [0.910, 0.950] against 0.810",
        {},
        {ADOPTION_ROW: NEAR},
    ),
    "no difference in the behaviour, with what is excluded": (
        "0",
        "No difference shown in exact adoption: PPO 0.810 [0.790, 0.830], DPO 0.930 [0.910, 0.950] "
        "(PPO - DPO: -0.010 [-0.040, 0.020]; more than 0.040 is excluded).",
        {ADOPTION_ROW: NEAR},
        {ADOPTION_ROW: FURTHER},
    ),
    "a method of which half failed is not called further": (
        "0",
        "Exact adoption: PPO 0.810 [0.790, 0.830], DPO 0.930 [0.910, 0.950].",
        {"methods.dpo.runs": runs(2, failed=2)},
        {"methods.dpo.runs": runs(2, failed=1)},
    ),
    "the behaviour at equal KL": (
        "0",
        "At equal KL (at most 5.06 nats): exact adoption of PPO 0.810, DPO 0.930 (PPO - DPO: "
        "-0.120 [-0.170, -0.070]); DPO higher.",
        {},
        {"equal.2": equal("kl", 5.06, "adoption", [0.8, 0.8, 0.83], [0.93] * 3, 0.2)},
    ),
    "the behaviour at equal seconds": (
        "0",
        "At equal device seconds (10.0 s after SFT): exact adoption of PPO 0.050, DPO 0.930",
        {},
        {"equal": EQUAL[:3]},
    ),
    "the drift": (
        "1",
        "PPO drifted further from SFT: exact KL 4.60 [4.10, 5.10] against 4.90",
        {DRIFT_ROW: MORE_DRIFT},
        {DRIFT_ROW: compared("kl_to_reference.exact", "ppo", "dpo", 0.9, 1.0)},
    ),
    "the drift at equal adoption": (
        "1",
        "At equal adoption (0.75): exact KL of PPO 7.00, DPO 5.00 nats (PPO - DPO: 2.00 [0.50, "
        "3.50]); PPO higher.",
        {},
        {"equal": EQUAL[1:]},
    ),
    "a level that one reaches in some seeds": (
        "1",
        "(PPO - DPO: 1.50); two seeds: not decided; DPO came there in 2 of 3 seeds.",
        {"equal.0": equal("adoption", 0.75, "kl", [6.0, 7.0, 8.0], [5.0, None, 6.0], None)}
        | {"equal.0.difference.mean": 1.5},
        {"equal.0": KL_AT_ADOPTION},
    ),
    "shares of the drift": (
        "1",
        "The behaviour itself required at least 50 % of PPO's drift and 60 % of DPO's (PPO - DPO: "
        "-0.100 [-0.150, -0.050]; DPO higher).",
        {DRIFT_ROW: EFFICIENCY},
        {DRIFT_ROW: compared("reward.proxy", "ppo", "dpo", -0.1, 0.05)},
    ),
    "the cost with its spread": (
        "2",
        "The path to PPO held the device 3.0 times as long as the path to DPO (90.0 s, 89.0 to "
        "91.0 over 3 seeds, against 30.0 s, 29.0 to 31.0 over 3 seeds); after SFT, which both "
        "share, 70.0 s against 10.0 s.",
        {},
        {"methods.dpo.cost.device_seconds.stages.dpo.by_seed": []},
    ),
    "the cost at equal adoption": (
        "2",
        "At equal adoption (0.75): PPO 61.0, DPO 8.0 s (PPO - DPO: 53.0 [50.0, 56.0]); PPO higher.",
        {},
        {"equal": EQUAL[:1]},
    ),
    "where the base rate is known": (
        "rest",
        P0,
        {},
        {"methods.sft.adoption.exact": None},
    ),
    "runs that ended badly": (
        "rest",
        "PPO: 3 runs completed, 1 failed, 0 collapsed; its differences are over the seeds that it "
        "shares with the other method.",
        {"methods.ppo.runs": runs(3, failed=1)},
        {"methods.ppo.runs": runs(3)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_sentence_stands_by_its_condition_and_falls_with_it(sound: Results, case: str) -> None:
    where, sentence, appears, vanishes = CASES[case]
    assert sentence in said(changed(sound, appears), where), said(changed(sound, appears), where)
    after = said(changed(changed(sound, appears), vanishes), where)
    assert sentence not in after, after


def said(results: Results, where: str) -> str:
    """The answer, a bullet by its number, or the rest."""
    found = verdict(results)
    if where.isdigit():
        return found.bullets[int(where)]
    return found.answer if where == "answer" else " ".join(found.rest)


def test_a_pair_has_an_answer_in_one_sentence_and_three_bullets(sound: Results) -> None:
    found = verdict(sound)
    assert len(found.bullets) == 3 and found.answer.count(". ") == 0 and found.answer[-1] == "."


def test_an_answer_below_three_seeds_names_no_winner_by_level_either(sound: Results) -> None:
    rows = {ADOPTION_ROW: FEW_ADOPTION, DRIFT_ROW: FEW_DRIFT, "comparisons.2": STILL}
    answer = verdict(changed(sound, rows)).answer
    assert answer.startswith("A direction, no verdict (one seed): only DPO can be recommended")


def test_a_method_that_failed_under_every_seed_is_in_the_answer(sound: Results) -> None:
    failure = Failure(method="ppo", seeds=SEEDS, reason="the loss is nan")
    found = verdict(changed(only(sound, "sft", "dpo"), {"failures": [failure]}))
    assert found.answer == "No comparison: PPO failed under every seed."
    assert "PPO failed under every seed and has no column." in found.rest
    assert "DPO: exact adoption 0.930" in " ".join(found.rest)
    # a variant that failed was not what was asked about
    variant = {"recipe.variants": {"gentle": {"method": "ppo", "settings": {}}}}
    other = failure.model_copy(update={"method": "gentle"})
    assert "depends" not in verdict(sound).answer
    assert verdict(changed(sound, {"failures": [other], **variant})).answer == verdict(sound).answer


def test_a_preference_page_answers_by_its_own_metric(sound: Results) -> None:
    rows = [
        compared("reward.held_out", "ppo", "dpo", 0.4, 0.1),
        *(against_sft("reward.held_out", name, 0.8, 0.1) for name in ("ppo", "dpo")),
    ]
    preference = {"recipe.task": {"name": "preference"}, "comparisons": rows, "equal": []}
    results = unmeasured(changed(sound, preference), "adoption")
    assert verdict(results).answer == (
        "It depends: PPO reaches the higher held out reward (1.10 against 1.10 score); DPO costs "
        "3.0 times less device time."
    )
    assert "PPO moved further: held out reward" in verdict(results).bullets[0]


def test_the_table_at_equal_things_counts_seeds_and_stands_on_the_page(
    sound: Results, quick_figures: None, tmp_path: Any
) -> None:
    row = equal("adoption", 0.75, "kl", [6.0, 7.0, 8.0], [5.0, None, 6.0], None)
    results = changed(sound, {"equal.0": row})
    table = equal_table(results)
    assert table.header == (
        "",
        "what",
        "PPO",
        "DPO",
        "PPO - DPO",
        "seeds",
        "verdict",
        "p, adjusted",
    )
    assert table.rows[0] == (
        *("at equal adoption (0.75)", "exact KL, nats", "7.00", "5.50", "1.50"),
        *("PPO 3/3, DPO 2/3", "two seeds: not decided", ""),
    )
    assert table.rows[3][2:] == (
        *("0.050", "0.930", "-0.880 [-0.890, -0.870]", "3", "DPO higher", "0.01"),
    )
    index = write_report(results, tmp_path)
    for page in (index.read_text("utf-8"), (tmp_path / "report.md").read_text("utf-8")):
        assert "PPO 3/3, DPO 2/3" in page and "never beyond a run" in page


def test_a_row_at_equal_things_claims_no_more_than_its_interval(sound: Results) -> None:
    with pytest.raises(ResultsError, match="'dpo higher', but the interval of a - b is"):
        changed(sound, {"equal.0.verdict": "dpo higher"})
    with pytest.raises(ResultsError, match="2 numbers of 3 seeds"):
        changed(sound, {"equal.0.by_seed.ppo": [1.0, 2.0]})
    with pytest.raises(ResultsError, match="no method 'grpo'"):
        values = {"ppo": [1.0] * 3, "grpo": [1.0] * 3}
        row = KL_AT_ADOPTION.model_dump() | {"b": "grpo", "by_seed": values}
        changed(sound, {"equal.0": row})
