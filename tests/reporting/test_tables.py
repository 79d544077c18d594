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
    needs_table,
    provenance_table,
    side_by_side,
)
from rlhf_compare.theory import COLLAPSE_RULE

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
        (estimate(0.5, 0.5004), "share", "0.500 [0.000, 1.000]"),  # never "-0.000"
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


def test_what_each_path_needs_is_read_from_its_stages(results: Results) -> None:
    table = needs_table(results)
    assert table.header == ("", "PPO", "DPO")
    assert row(table, "learning steps after SFT")[1:] == ("2 (reward, ppo)", "1 (dpo)")
    assert row(table, "reward model needed")[1:] == ("yes", "no")
    assert row(table, "RL needed (learns from its own samples)")[1:] == ("yes", "no")
    assert "Not measured here: implementation complexity." in table.note
    assert not any(r[0] == "implementation complexity" for r in table.rows)
    assert COLLAPSE_RULE in table.note
    assert row(table, "compute cost (device seconds)")[1] == "90.0 (70.0 after SFT)"
    runs = {"completed": 2, "failed": 1, "collapsed": 1}
    results = changed(results, {"methods.ppo.runs": runs})
    stability = row(needs_table(results), "training stability (runs)")
    assert stability[1] == "2 completed, 1 failed, 1 collapsed"


def test_needs_without_device_seconds_are_not_measured(results: Results) -> None:
    results = unmeasured(results, "cost.device_seconds", of=("ppo",))
    table = needs_table(results)
    for name, ppo, _ in table.rows[:-1]:
        assert ppo == "not measured", name
    assert row(table, "reward model needed")[2] == "no"
    assert row(cost_table(results), "PPO", "whole path")[-1] == "not measured"


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


def test_the_ledger_claims_no_training_that_two_reward_models_share(
    results: Results,
) -> None:
    assert row(ledger_table(results), "rows that feed reward")[1] == "880"
    assert ledger_table(results).note == ""
    results = changed(results, {"recipe.reward": {"held_out": True}})
    assert "Neither learns from all of them" in ledger_table(results).note


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
