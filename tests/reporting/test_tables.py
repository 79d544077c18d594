"""Tables: the numbers, their format, and what is said where nothing was measured."""

from typing import Any

import pytest

from rlhf_compare.metrics import METRICS
from rlhf_compare.reporting.comparisons import main_pair
from rlhf_compare.reporting.method_schema import Estimate
from rlhf_compare.reporting.numbers import format_value
from rlhf_compare.reporting.schema import Results
from rlhf_compare.reporting.tables import (
    Table,
    cost_table,
    differences_table,
    ledger_table,
    metrics_table,
    provenance_table,
    side_by_side,
)

from .conftest import against_sft, changed, compared, estimate, only, plain, unmeasured


def row(table: Table, *start: str) -> tuple[str, ...]:
    return next(r for r in table.rows if r[: len(start)] == start)


_BELOW_ZERO = Estimate(mean=-2e-4, low=-2e-4, high=-0.0, n=64, seeds=1)


@pytest.mark.parametrize(
    ("value", "style", "text"),
    [
        (None, "share", "not measured"),
        (estimate(0.8125, 0.0625), "share", "0.812 [0.750, 0.875]"),
        (estimate(0.5), "share", "0.500"),
        (estimate(0.0, 0.0), "share", "0.000 [0.000, 0.000]"),
        (estimate(0.00002), "share", "2.0e-05"),
        (estimate(0.5, 0.5004), "share", "0.50 [0.00, 1.00]"),  # never "-0.00"
        # the half-width keeps two digits, and the mean has no more decimals than it
        (estimate(91.53, 12.34), "number", "92 [79, 104]"),
        (estimate(5.0123, 0.234), "number", "5.01 [4.78, 5.25]"),
        (estimate(5.0123, 0.00234), "number", "5.01 [5.01, 5.01]"),
        (estimate(0.71234, 0.1234), "share", "0.71 [0.59, 0.84]"),
        (estimate(1234.5, 678.9), "number", "1,234 [556, 1,913]"),
        # a mean that its interval does not tell from 0 is 0
        (estimate(0.3, 40.0), "number", "0 [-40, 40]"),
        (estimate(0.0004, 0.05), "share", "0.000 [-0.050, 0.050]"),
        (estimate(-12.345, 0.1), "number", "-12.35 [-12.45, -12.25]"),
        (1234.5, "seconds", "1,234"),
        (12.34, "seconds", "12.3"),
        (0.0351, "seconds", "<0.1"),
        (
            Estimate(mean=-2e-4, low=-2e-4, high=-0.0, n=64, seeds=1),
            "share",
            "-2.0e-04 [-2.0e-04, 0.0e+00]",
        ),
        (3 * 2**20, "mebibytes", "3.0"),
        (1234567, "count", "1,234,567"),
        (0, "count", "0"),
    ],
)
def test_format(value: Any, style: Any, text: str) -> None:
    assert str(format_value(value, style)) == text


def test_every_field_of_a_method_has_a_row(results: Results) -> None:
    def leaves(value: Any, path: str) -> list[str]:
        if isinstance(value, dict) and "mean" not in value:
            return [
                leaf for key in value for leaf in leaves(value[key], f"{path}.{key}".strip("."))
            ]
        return [path]

    expected = leaves(plain(results.methods["ppo"]), "")
    expected = [
        p for p in expected if not p.startswith(("runs", "training", "cost.device_seconds.stages"))
    ]
    assert set(expected) <= {m.path for m in METRICS}
    for metric in METRICS:
        assert metric.unit and metric.reading.count("\n") == 0


def test_a_null_is_not_measured_in_every_row(results: Results) -> None:
    seconds = "cost.device_seconds"
    paths = [m.path for m in METRICS if not m.path.startswith(seconds)]
    results = unmeasured(results, *paths, seconds, of=("ppo",))
    ppo = [r.cells[1] for r in side_by_side(results)]
    assert {str(cell) for cell in ppo} == {"not measured"}
    assert all(r.cells[2].measured for r in side_by_side(results))


def test_a_policy_that_is_no_model_has_a_bound_where_others_have_logits(
    results: Results,
) -> None:
    results = unmeasured(results, "kl_to_reference", of=("dpo",))
    results = changed(results, {"methods.dpo.kl_to_reference.bound": estimate(1.84)})
    shown = {r.label: [str(cell) for cell in r.cells] for r in side_by_side(results)}
    assert shown["KL, upper bound"][1:] == ["does not apply", "1.84"]
    assert shown["KL, exact"][2] == "does not apply"


def test_device_seconds_after_sft(results: Results) -> None:
    after = row(metrics_table(results), "device time after SFT")
    assert after[3:6] == ("0.0", "70.0", "10.0")


def test_n_says_what_was_averaged_over(results: Results) -> None:
    assert row(metrics_table(results), "adoption, sampled")[-1] == "256"
    assert row(metrics_table(results), "KL, exact")[-1] == "64 / 256"


def test_cost_adds_up_phases_beside_the_total(results: Results) -> None:
    table = cost_table(results)
    assert table.header == (
        "path", "stage", "load", "data", "reference", "generate", "score", "update", "save",
        "phases", "total",
    )  # fmt: skip
    assert row(table, "PPO", "ppo")[2:] == (
        "1.0", "-", "4.0", "40.0", "5.0", "13.0", "1.0", "64.0", "65.0",
    )  # fmt: skip
    assert row(table, "DPO", "whole path")[-1] == "30.0"


def test_a_cost_table_has_fixed_decimals(results: Results) -> None:
    seconds = "methods.ppo.cost.device_seconds"
    phases = f"{seconds}.stages.ppo.phases"
    results = changed(results, {f"{phases}.load": 0.0351, f"{phases}.save": 0.0})
    ppo = row(cost_table(results), "PPO", "ppo")
    assert (ppo[2], ppo[8]) == ("<0.1", "0.0")
    results = changed(results, {f"{seconds}.path_total": 5000.0})
    ppo = row(cost_table(results), "PPO", "ppo")
    assert (ppo[2], ppo[5], ppo[8]) == ("<1", "40", "0")


def test_rows_without_any_number_become_one_line(results: Results) -> None:
    results = unmeasured(results, "win_rate_vs_sft", "entropy")
    table = metrics_table(results)
    assert "Not measured here: win rate against SFT; entropy." in table.note
    assert "Does not apply" not in table.note
    assert not {"win rate against SFT", "entropy"} & {r[0] for r in table.rows}
    results = changed(results, {"methods.dpo.entropy": estimate(0.4)})
    assert row(metrics_table(results), "entropy")[3:6] == ("not measured", "not measured", "0.400")


def test_what_cannot_be_is_not_called_unmeasured(results: Results) -> None:
    """Padding is of batches of pairs, and SFT has no drift whose share could be taken."""
    table = metrics_table(results)
    assert row(table, "padding, pairs")[3:6] == ("does not apply", "does not apply", "0.077")
    assert row(table, "efficiency")[3] == "does not apply"
    results = unmeasured(results, "cost.padding_share", of=("dpo",))
    assert "Not measured here: padding, pairs." in metrics_table(results).note
    results = only(results, "sft", "ppo")
    assert "Does not apply here: padding, pairs." in metrics_table(results).note


def test_a_preference_task_has_no_prefix_to_measure(results: Results) -> None:
    results = changed(results, {"recipe.task": {"name": "preference"}})
    drift = ("style", "content", "floor", "efficiency")
    results = unmeasured(results, "adoption", *(f"kl_to_reference.{leaf}" for leaf in drift))
    note = metrics_table(results).note
    assert note.endswith(
        "Does not apply here: adoption, exact; adoption, sampled; adoption, greedy; KL, style "
        "part; KL, content part; KL floor; efficiency."
    )
    assert "Not measured" not in note


def test_differences(results: Results) -> None:
    table = differences_table(results)
    difference = ("PPO - DPO", "-0.120 [-0.150, -0.090]", "DPO higher")
    assert table.rows[0][2:] == (*difference, "exploratory", "3")
    assert table.rows[1][-3] == "no difference shown"
    results = changed(results, {"comparisons.1.difference": None, "comparisons.0.p_adjusted": 0.03})
    assert differences_table(results).rows[0][-2] == "0.03"
    assert differences_table(results).rows[1][3:5] == ("not measured", "not measured")


def test_the_pair_that_was_asked_about_comes_first(results: Results) -> None:
    """PPO and DPO, then each method less SFT whichever way it was written, then the others."""
    comparisons = [
        compared("adoption.exact", "sft", "ppo", -0.76, 0.01),
        compared("adoption.exact", "dpo", "chapter", 0.2, 0.01),
        against_sft("adoption.exact", "chapter", 0.68, 0.01),
        *results.comparisons,
    ]
    results = changed(
        results,
        {
            "methods.chapter": results.methods["dpo"],
            "recipe.variants": {"chapter": {"method": "dpo"}},
            "comparisons": comparisons,
        },
    )
    rows = differences_table(results).rows
    assert [row[2] for row in rows] == [
        "PPO - DPO", "PPO - DPO", "PPO - SFT", "chapter - SFT", "DPO - chapter",
    ]  # fmt: skip
    assert rows[2][3:5] == ("0.760 [0.750, 0.770]", "PPO higher")


def test_variants_are_no_part_of_the_pair_where_two_methods_are(results: Results) -> None:
    results = changed(
        results,
        {
            "methods.a": results.methods["dpo"],
            "recipe.variants": {"a": {"method": "dpo"}},
        },
    )
    assert main_pair(only(results, "sft", "a", "ppo", "dpo")) == ("ppo", "dpo")
    assert main_pair(only(results, "sft", "a", "dpo")) == ("dpo", "a")
    assert main_pair(only(results, "sft", "dpo")) is None


def test_the_ledger_says_what_each_stage_trained_on_by_its_own_count(results: Results) -> None:
    def learned(unit: str, at_hand: int, used: int, passes: float, **more: int) -> dict[str, Any]:
        return {"unit": unit, "at_hand": at_hand, "used": used, "passes": passes, **more}

    assert not [r for r in ledger_table(results).rows if "trained on" in r[0]]
    counts = {
        "sft": learned("demonstrations", 900, 900, 5.0),
        "reward-0": learned("ranked rows", 880, 880, 4.0),
        "reward-1": learned("ranked rows", 880, 880, 4.0),
        "judge-0": learned("ranked rows", 210, 210, 4.0, made=840),
        "judge-1": learned("ranked rows", 210, 210, 4.0, made=837),
        "dpo-0": learned("pairs", 880, 640, 0.7272),
    }
    results = changed(results, {"provenance.learned": counts})
    assert [r for r in ledger_table(results).rows if "trained on" in r[0]] == [
        ("demonstrations that sft trained on", "900", "5 passes"),
        ("ranked rows that reward trained on", "880", "4 passes"),
        (
            "ranked rows that judge trained on",
            "210",
            "4 passes; and 837 to 840 broken texts made from them",
        ),
        ("pairs that dpo trained on", "640", "0.727 passes; 240 were not reached"),
    ]


def test_the_ledger_says_how_the_prompts_are_cut(results: Results) -> None:
    parts = {
        "train": {"rows": 900, "prompts": 890, "groups": 180},
        "judge": {"rows": 210, "prompts": 200, "groups": 40},
        "tuning": {"rows": 50, "prompts": 49, "groups": 10},
    }
    ledger = {"provenance.ledger.parts": parts, "provenance.ledger.judge_rows": 210}
    table = ledger_table(changed(results, ledger))
    assert row(table, "rows for the judge alone")[1] == "210"
    assert row(table, "prompts for the judge alone")[1:] == ("200", "40 groups")
    assert row(table, "prompts held out, to choose settings")[1:] == ("49", "10 groups")


def test_ledger_shows_what_nobody_accounted_for(results: Results) -> None:
    assert row(ledger_table(results), "unaccounted for")[1] == "0"
    results = changed(results, {"provenance.ledger.kept": 947})
    assert row(ledger_table(results), "unaccounted for")[1] == "3"


def test_the_ledger_says_how_each_source_was_read(results: Results) -> None:
    words = "read as preference pairs from question, chosen, rejected; not read: topic"
    source = {"name": "rows.jsonl", "format": "preference", "columns": {}, "not_read": ["topic"]}
    results = changed(results, {"provenance.ledger.sources": [{**source, "words": words}]})
    assert row(ledger_table(results), "rows.jsonl") == ("rows.jsonl", "", words)


def test_provenance_that_was_not_recorded(results: Results) -> None:
    results = changed(results, {"provenance.commit": None, "provenance.dirty": None})
    assert row(provenance_table(results), "commit")[1] == "not recorded"
    assert row(provenance_table(results), "tree")[1] == "not recorded"


def test_methods_can_be_chosen_and_unknown_ones_are_refused(results: Results) -> None:
    assert len(side_by_side(results, ["dpo"])[0].cells) == 1
    with pytest.raises(ValueError, match="no method 'grpo' in these results; there are sft, ppo"):
        side_by_side(results, ["grpo"])


def test_topics_are_named_where_the_intervals_take_them_as_drawn(results: Results) -> None:
    assert "topics" not in metrics_table(results).note
    results = changed(results, {"methods.ppo.length.units": 31})
    assert (
        "n: prompts in 31 topics, which the intervals take as drawn." in metrics_table(results).note
    )
