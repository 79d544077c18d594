"""Tables: the numbers, their format, and what is said where nothing was measured."""

from typing import Any

import pytest

from rlhf_compare.metrics import METRICS
from rlhf_compare.reporting.comparisons import main_pair
from rlhf_compare.reporting.numbers import format_value, value_of
from rlhf_compare.reporting.tables import (
    Table,
    cost_table,
    differences_table,
    ledger_table,
    metrics_table,
    needs_table,
    provenance_table,
    side_by_side,
)

from .conftest import estimate


def row(table: Table, *start: str) -> tuple[str, ...]:
    return next(r for r in table.rows if r[: len(start)] == start)


@pytest.mark.parametrize(
    ("value", "style", "text"),
    [
        (None, "share", "not measured"),
        (estimate(0.8125, 0.0625), "share", "0.812 [0.750, 0.875]"),
        (estimate(0.5), "share", "0.500"),
        (estimate(0.0, 0.0), "share", "0.000 [0.000, 0.000]"),
        (estimate(0.00002), "share", "2.0e-05"),
        (estimate(0.5, 0.5004), "share", "0.500 [0.000, 1.000]"),  # never "-0.000"
        (estimate(-12.345, 0.1), "number", "-12.35 [-12.45, -12.25]"),
        (1234.5, "seconds", "1,234"),
        (12.34, "seconds", "12.3"),
        (0.0351, "seconds", "<0.1"),
        ({**estimate(-2e-4, 0.0), "high": -0.0}, "share", "-2.0e-04 [-2.0e-04, 0.0e+00]"),
        (3 * 2**20, "mebibytes", "3.0"),
        (1234567, "count", "1,234,567"),
        (0, "count", "0"),
    ],
)
def test_format(value: Any, style: Any, text: str) -> None:
    assert str(format_value(value, style)) == text


def test_every_field_of_a_method_has_a_row(results: dict[str, Any]) -> None:
    def leaves(value: Any, path: str) -> list[str]:
        if isinstance(value, dict) and "mean" not in value:
            return [
                leaf for key in value for leaf in leaves(value[key], f"{path}.{key}".strip("."))
            ]
        return [path]

    expected = leaves(results["methods"]["ppo"], "")
    expected = [
        p for p in expected if not p.startswith(("runs", "training", "cost.device_seconds.stages"))
    ]
    assert set(expected) <= {m.path for m in METRICS if m.derive is None}
    for metric in METRICS:
        assert metric.unit and metric.reading.count("\n") == 0


def test_a_null_is_not_measured_in_every_row(results: dict[str, Any]) -> None:
    for metric in METRICS:
        parent, _, last = metric.path.rpartition(".")
        if metric.derive is None and last != "path_total":
            holder = (
                value_of(results["methods"]["ppo"], parent) if parent else results["methods"]["ppo"]
            )
            holder[last] = None
    results["methods"]["ppo"]["cost"]["device_seconds"] = None
    ppo = [r.cells[1] for r in side_by_side(results)]
    assert {str(cell) for cell in ppo} == {"not measured"}
    assert all(r.cells[2].measured for r in side_by_side(results))


def test_a_policy_that_is_no_model_has_a_bound_where_others_have_logits(
    results: dict[str, Any],
) -> None:
    drift = results["methods"]["dpo"]["kl_to_reference"]
    results["methods"]["dpo"]["kl_to_reference"] = {**dict.fromkeys(drift), "bound": estimate(1.84)}
    shown = {r.label: [str(cell) for cell in r.cells] for r in side_by_side(results)}
    assert shown["KL, upper bound"][1:] == ["does not apply", "1.84"]
    assert shown["KL, exact"][2] == "does not apply"


def test_device_seconds_after_sft(results: dict[str, Any]) -> None:
    after = row(metrics_table(results), "device time after SFT")
    assert after[3:6] == ("0.0", "70.0", "10.0")


def test_n_says_what_was_averaged_over(results: dict[str, Any]) -> None:
    assert row(metrics_table(results), "adoption, sampled")[-1] == "256"
    assert row(metrics_table(results), "KL, exact")[-1] == "64 / 256"


def test_cost_adds_up_phases_beside_the_total(results: dict[str, Any]) -> None:
    table = cost_table(results)
    assert table.header == (
        "path", "stage", "load", "data", "reference", "generate", "score", "update", "save",
        "phases", "total",
    )  # fmt: skip
    assert row(table, "PPO", "ppo")[2:] == (
        "1.0", "-", "4.0", "40.0", "5.0", "13.0", "1.0", "64.0", "65.0",
    )  # fmt: skip
    assert row(table, "DPO", "whole path")[-1] == "30.0"


def test_a_cost_table_has_fixed_decimals(results: dict[str, Any]) -> None:
    phases = results["methods"]["ppo"]["cost"]["device_seconds"]["stages"]["ppo"]["phases"]
    phases.update(load=0.0351, save=0.0)
    ppo = row(cost_table(results), "PPO", "ppo")
    assert (ppo[2], ppo[8]) == ("<0.1", "0.0")
    results["methods"]["ppo"]["cost"]["device_seconds"]["path_total"] = 5000.0
    ppo = row(cost_table(results), "PPO", "ppo")
    assert (ppo[2], ppo[5], ppo[8]) == ("<1", "40", "0")


def test_rows_without_any_number_become_one_line(results: dict[str, Any]) -> None:
    for one in results["methods"].values():
        one["win_rate_vs_sft"] = one["entropy"] = None
    table = metrics_table(results)
    assert "Not measured here: win rate against SFT; entropy." in table.note
    assert "Does not apply" not in table.note
    assert not {"win rate against SFT", "entropy"} & {r[0] for r in table.rows}
    results["methods"]["dpo"]["entropy"] = estimate(0.4)
    assert row(metrics_table(results), "entropy")[3:6] == ("not measured", "not measured", "0.400")


def test_what_cannot_be_is_not_called_unmeasured(results: dict[str, Any]) -> None:
    """Padding is of batches of pairs, and SFT has no drift whose share could be taken."""
    table = metrics_table(results)
    assert row(table, "padding, pairs")[3:6] == ("does not apply", "does not apply", "0.077")
    assert row(table, "efficiency")[3] == "does not apply"
    results["methods"]["dpo"]["cost"]["padding_share"] = None
    assert "Not measured here: padding, pairs." in metrics_table(results).note
    results["methods"] = {name: results["methods"][name] for name in ("sft", "ppo")}
    assert "Does not apply here: padding, pairs." in metrics_table(results).note


def test_a_preference_task_has_no_prefix_to_measure(results: dict[str, Any]) -> None:
    results["recipe"]["task"] = {"name": "preference"}
    for one in results["methods"].values():
        one["adoption"] = dict.fromkeys(one["adoption"])
        one["kl_to_reference"].update(style=None, content=None, floor=None, efficiency=None)
    note = metrics_table(results).note
    assert note.endswith(
        "Does not apply here: adoption, exact; adoption, sampled; adoption, greedy; KL, style "
        "part; KL, content part; KL floor; efficiency."
    )
    assert "Not measured" not in note


def test_what_each_path_needs_is_read_from_its_stages(results: dict[str, Any]) -> None:
    table = needs_table(results)
    assert table.header == ("", "PPO", "DPO")
    assert row(table, "learning steps after SFT")[1:] == ("2 (reward, ppo)", "1 (dpo)")
    assert row(table, "reward model needed")[1:] == ("yes", "no")
    assert row(table, "RL needed (learns from its own samples)")[1:] == ("yes", "no")
    assert "Not measured here: implementation complexity." in table.note
    assert not any(r[0] == "implementation complexity" for r in table.rows)
    assert "Collapsed: a run that lost half or more of SFT's adoption" in table.note
    assert row(table, "compute cost (device seconds)")[1] == "90.0 (70.0 after SFT)"
    results["methods"]["ppo"]["runs"] = {"completed": 2, "failed": 1, "collapsed": 1}
    stability = row(needs_table(results), "training stability (runs)")
    assert stability[1] == "2 completed, 1 failed, 1 collapsed"


def test_needs_without_device_seconds_are_not_measured(results: dict[str, Any]) -> None:
    results["methods"]["ppo"]["cost"]["device_seconds"] = None
    table = needs_table(results)
    for name, ppo, _ in table.rows[:-1]:
        assert ppo == "not measured", name
    assert row(table, "reward model needed")[2] == "no"
    assert row(cost_table(results), "PPO", "whole path")[-1] == "not measured"


def test_differences(results: dict[str, Any]) -> None:
    table = differences_table(results)
    assert table.rows[0][2:] == ("PPO - DPO", "-0.120 [-0.150, -0.090]", "DPO higher")
    assert table.rows[1][-1] == "no difference shown"
    results["comparisons"][1]["difference"] = None
    assert differences_table(results).rows[1][-2:] == ("not measured", "not measured")


def compared(metric: str, a: str, b: str, mean: float, who: str) -> dict[str, Any]:
    row = {"metric": metric, "a": a, "b": b, "difference": estimate(mean, 0.01)}
    return {**row, "verdict": f"{who} higher"}


def test_the_pair_that_was_asked_about_comes_first(results: dict[str, Any]) -> None:
    """PPO and DPO, then each method less SFT whichever way it was written, then the others."""
    results["methods"]["chapter"] = results["methods"]["dpo"]
    results["recipe"]["variants"] = {"chapter": {"method": "dpo"}}
    results["comparisons"] = [
        compared("adoption.exact", "sft", "ppo", -0.76, "ppo"),
        compared("adoption.exact", "dpo", "chapter", 0.2, "dpo"),
        compared("adoption.exact", "chapter", "sft", 0.68, "chapter"),
        *results["comparisons"],
    ]
    rows = differences_table(results).rows
    assert [row[2] for row in rows] == [
        "PPO - DPO", "PPO - DPO", "PPO - SFT", "chapter - SFT", "DPO - chapter",
    ]  # fmt: skip
    assert rows[2][3:] == ("0.760 [0.750, 0.770]", "PPO higher")


def test_variants_are_no_part_of_the_pair_where_two_methods_are(results: dict[str, Any]) -> None:
    methods = results["methods"]
    results["methods"] = {
        "sft": methods["sft"], "a": methods["dpo"], "ppo": methods["ppo"], "dpo": methods["dpo"],
    }  # fmt: skip
    results["recipe"]["variants"] = {"a": {"method": "dpo"}}
    assert main_pair(results) == ("ppo", "dpo")
    del results["methods"]["ppo"]
    assert main_pair(results) == ("dpo", "a")
    del results["methods"]["a"]
    assert main_pair(results) is None


def test_the_ledger_claims_no_training_that_two_reward_models_share(
    results: dict[str, Any],
) -> None:
    assert row(ledger_table(results), "rows that feed reward")[1] == "880"
    assert ledger_table(results).note == ""
    results["recipe"]["reward"] = {"held_out": True}
    assert "Neither learns from all of them" in ledger_table(results).note


def test_ledger_shows_what_nobody_accounted_for(results: dict[str, Any]) -> None:
    assert row(ledger_table(results), "unaccounted for")[1] == "0"
    results["provenance"]["ledger"]["kept"] = 947
    assert row(ledger_table(results), "unaccounted for")[1] == "3"


def test_the_ledger_says_how_each_source_was_read(results: dict[str, Any]) -> None:
    words = "read as preference pairs from question, chosen, rejected; not read: topic"
    source = {"name": "rows.jsonl", "format": "preference", "columns": {}, "not_read": ["topic"]}
    results["provenance"]["ledger"]["sources"] = [{**source, "words": words}]
    assert row(ledger_table(results), "rows.jsonl") == ("rows.jsonl", "", words)


def test_provenance_that_was_not_recorded(results: dict[str, Any]) -> None:
    results["provenance"].update(commit=None, dirty=None)
    assert row(provenance_table(results), "commit")[1] == "not recorded"
    assert row(provenance_table(results), "tree")[1] == "not recorded"


def test_methods_can_be_chosen_and_unknown_ones_are_refused(results: dict[str, Any]) -> None:
    assert len(side_by_side(results, ["dpo"])[0].cells) == 1
    with pytest.raises(ValueError, match="no method 'grpo' in these results; there are sft, ppo"):
        side_by_side(results, ["grpo"])
