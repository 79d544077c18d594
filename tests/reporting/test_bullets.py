"""The bullets and the rest of the verdict, and the table at equal things: each sentence has its
condition. MADE-UP NUMBERS."""

from typing import Any

import pytest

from rlhf_compare.reporting.report import write_report
from rlhf_compare.reporting.results import ResultsError
from rlhf_compare.reporting.schema import Results
from rlhf_compare.reporting.tables import equal_table

from .conftest import changed, compared
from .verdict_rows import (
    ADOPTION_ROW,
    DRIFT_ROW,
    EFFICIENCY,
    EQUAL,
    FURTHER,
    KL_AT_ADOPTION,
    MORE_DRIFT,
    NEAR,
    P0,
    SAME_COST,
    Case,
    check,
    equal,
    few,
    runs,
    sound_results,
)

HOLM = {"verdict": "no difference shown", "p_adjusted": 0.06, "excluded": 0.15}

CASES: dict[str, Case] = {
    "two seeds are a direction": (
        "rest",
        "Two seeds: a direction, no verdict. What would decide: rlhf-compare compare --recipe tiny "
        '--seeds "0 4 5".',
        {ADOPTION_ROW: few(NEAR, 2), DRIFT_ROW: few(MORE_DRIFT, 2), "provenance.seeds": [4, 5]},
        {ADOPTION_ROW: NEAR, DRIFT_ROW: MORE_DRIFT, "provenance.seeds": [4, 5, 6]},
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
    "a method that had not begun": (
        "0",
        "At equal device seconds (10.0 s after SFT): exact adoption of DPO 0.930, but PPO had not "
        "begun in 3 of 3 seeds.",
        {
            "equal.3.by_seed": {"ppo": [None] * 3, "dpo": [0.93] * 3},
            "equal.3.difference": None,
            "equal.3.p_adjusted": None,
            "equal.3.verdict": "one had not begun",
        },
        {"equal": EQUAL},
    ),
    "the drift": (
        "1",
        "PPO drifted further from SFT: exact KL 4.60 [4.10, 5.10] against 4.90",
        {DRIFT_ROW: MORE_DRIFT},
        {DRIFT_ROW: compared("kl_to_reference.exact", "ppo", "dpo", 0.9, 1.0)},
    ),
    "the drift at equal adoption": (
        "1",
        "At equal adoption (0.75): exact KL of PPO 7.00, DPO 5.00 nats (PPO - DPO: 2.0 [0.5, "
        "3.5]); PPO higher.",
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
    "an interval without 0 that shows no difference": (
        "1",
        "-0.050]; no difference shown; p = 0.06 after Holm's adjustment).",
        {DRIFT_ROW: EFFICIENCY.model_copy(update=HOLM)},
        {DRIFT_ROW: EFFICIENCY},
    ),
    "the same at equal things": (
        "1",
        "(PPO - DPO: 2.0 [0.5, 3.5]); no difference shown, p = 0.06 after Holm's adjustment.",
        {
            "equal.0": KL_AT_ADOPTION.model_copy(
                update={"verdict": "no difference shown", "p_adjusted": 0.06}
            )
        },
        {"equal.0": KL_AT_ADOPTION},
    ),
    "the cost with its spread": (
        "2",
        "The path to PPO held the device 3.0 times as long as the path to DPO (90.0 s, 89.0 to "
        "91.0 over 3 seeds, against 30.0 s, 29.0 to 31.0 over 3 seeds); after SFT, which both "
        "share, 70.0 s against 10.0 s.",
        {},
        {"methods.dpo.cost.device_seconds.stages.dpo.by_seed": []},
    ),
    "a cost within the spread of the seeds": (
        "2",
        "over 3 seeds), not beyond the spread of the seeds; after SFT",
        SAME_COST,
        {"methods.ppo.cost.device_seconds.stages.ppo.by_seed": [64.0, 65.0, 66.0]},
    ),
    "the cost at equal adoption": (
        "2",
        "At equal adoption (0.75): device seconds after SFT of PPO 61.0, DPO 8.0 (PPO - DPO: 53.0 "
        "[50.0, 56.0]); PPO higher.",
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
}


@pytest.fixture
def sound(results: Results) -> Results:
    return sound_results(results)


@pytest.mark.parametrize("case", CASES)
def test_a_sentence_stands_by_its_condition_and_falls_with_it(sound: Results, case: str) -> None:
    check(sound, CASES[case])


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
