"""What replicates, what does not, and what few seeds cannot say."""

from typing import Any

import pytest

from rlhf_compare.replication.changes import answers_of, changes_of
from rlhf_compare.replication.results import Change
from rlhf_compare.reporting.schema import Results, WinRate
from tests.reporting.conftest import changed, compared
from tests.reporting.verdict_rows import ADOPTION_AT_KL, equal

from .made_up import ADOPTION, FIRST, FRESH, KL, seen, under


def kl_of(results: Results, before: list[float], fresh: list[float]) -> Change:
    first = under(results, range(len(before)), {KL: before})
    again = under(results, range(10, 10 + len(fresh)), {KL: fresh})
    rows = changes_of(first, again)
    return next(row for row in rows if row.of == "PPO" and row.what == "exact KL")


def test_numbers_that_agree_replicate_and_say_what_is_excluded(results: Results) -> None:
    row = kl_of(results, [4.0, 5.0, 6.0], [4.5, 5.0, 5.5])
    assert row.kind == "no difference" and row.difference.mean == 0.0
    # error sqrt(1/3 + 1/12), freedom 2.94
    assert row.difference.high == pytest.approx(2.08, abs=0.01)
    assert row.verdict == "replicates: no difference shown, more than 2.08 excluded"


@pytest.mark.parametrize(("shift", "way"), [(-2.0, "lower"), (2.0, "higher")])
def test_numbers_that_moved_do_not_replicate(results: Results, shift: float, way: str) -> None:
    row = kl_of(results, [4.9, 5.0, 5.1], [one + shift for one in (4.9, 5.0, 5.1)])
    assert row.kind == "differs"
    assert row.verdict == f"does not replicate: {way} under the fresh seeds"
    assert row.difference.p_value is not None and row.difference.p_value < 0.001


@pytest.mark.parametrize(
    ("before", "fresh", "kind", "verdict"),
    [
        ([5.0, 5.1], [5.0, 5.1, 5.2], "not decided", "not decided: fewer than three seeds"),
        ([5.0, 5.1, 5.2], [9.0], "not decided", "not decided: fewer than three seeds"),
        ([5.0] * 3, [5.0] * 3, "no difference", "replicates: the same in every seed"),
        ([5.0] * 3, [6.0] * 3, "not decided", "not decided: no seed differs from another"),
    ],
)
def test_few_seeds_or_none_that_differ_decide_nothing(
    results: Results, before: list[float], fresh: list[float], kind: str, verdict: str
) -> None:
    row = kl_of(results, before, fresh)
    assert row.kind == kind and row.verdict.startswith(verdict)
    assert row.difference.interval is None and row.difference.p_value is None


def test_results_without_the_numbers_of_their_seeds_decide_nothing(results: Results) -> None:
    first = under(results, FIRST, {KL: [4.9, 5.0, 5.1]})
    old = changed(first, {f"methods.ppo.{KL}.by_seed": [], "provenance.seeds": FRESH})
    row = next(r for r in changes_of(first, old) if r.of == "PPO" and r.what == "exact KL")
    assert row.verdict == "not decided: the numbers of the seeds were not kept"


def gap(mean: float, by_seed: list[float], turned: bool = False) -> dict[str, Any]:
    row = compared(ADOPTION, *(("dpo", "ppo") if turned else ("ppo", "dpo")), mean, 0.03)
    return {**row.model_dump(exclude_unset=True), "difference": seen(by_seed, 0.03)}


def test_differences_of_the_pair_are_held_by_seed_too(results: Results) -> None:
    """Whichever of the two a file names first."""
    first = changed(results, {"comparisons.0": gap(-0.12, [-0.11, -0.12, -0.13])})
    turned = gap(0.05, [0.04, 0.05, 0.06], turned=True)
    again = changed(results, {"comparisons.0": turned, "provenance.seeds": FRESH})
    row = next(r for r in changes_of(first, again) if r.of == "PPO - DPO")
    assert (row.before.mean, row.fresh.mean) == pytest.approx((-0.12, -0.05))
    assert row.fresh.by_seed == pytest.approx([-0.04, -0.05, -0.06])
    assert row.verdict == "does not replicate: higher under the fresh seeds"


@pytest.mark.parametrize(
    ("before", "fresh", "outcome"),
    [
        (-0.12, -0.2, "same"),
        (0.01, -0.01, "same"),
        (-0.12, 0.12, "reversed"),
        (-0.12, 0.0, "not shown again"),
        (0.0, 0.12, "newly shown"),
    ],
)
def test_who_is_higher_is_held_against_who_was(
    results: Results, before: float, fresh: float, outcome: str
) -> None:
    first, again = (
        changed(results, {"comparisons.0": compared(ADOPTION, "ppo", "dpo", mean, 0.03)})
        for mean in (before, fresh)
    )
    row = answers_of(first, again)[0]
    assert (row.what, row.outcome) == ("exact adoption", outcome)
    names = {True: "PPO higher", False: "DPO higher"}
    assert row.before == (names[before > 0] if abs(before) > 0.03 else "no difference shown")


def test_a_side_of_one_seed_decides_no_verdict(results: Results) -> None:
    few = {"comparisons.0.verdict": "one seed: not decided"}
    (row, *_) = answers_of(changed(results, few), results)
    assert row.outcome == "not decided" and row.fresh == "DPO higher"


def test_verdicts_at_equal_things_are_held_too(results: Results) -> None:
    """At whatever level each file found the two equal."""
    other = equal("kl", 4.5, "adoption", [0.9, 0.9, 0.9], [0.9, 0.9, 0.93], 0.05)
    first, again = (changed(results, {"equal": [row]}) for row in (ADOPTION_AT_KL, other))
    row = answers_of(first, again)[-1]
    assert (row.what, row.before) == ("adoption at equal KL", "DPO higher")
    assert row.outcome == "not shown again"


def rate(share: list[float], verdict: str) -> WinRate:
    found = seen(share)
    return WinRate.model_validate(
        {
            "a": "ppo",
            "b": "dpo",
            "judge": "reward.held_out",
            "share": found,
            "ties": None,
            "consistent": None,
            "verdict": verdict,
        }
    )


def test_a_task_of_labels_is_held_by_its_win_rate(results: Results) -> None:
    task = {"recipe.task": {"name": "preference"}}
    first = changed(results, {**task, "win_rates": [rate([0.7, 0.71, 0.72], "ppo preferred")]})
    again = changed(results, {**task, "win_rates": [rate([0.3, 0.31, 0.32], "dpo preferred")]})
    row = changes_of(first, again)[-1]
    assert (row.of, row.what) == ("PPO against DPO", "win rate")
    assert row.verdict == "does not replicate: lower under the fresh seeds"
    answer = answers_of(first, again)[-1]
    assert (answer.before, answer.fresh, answer.outcome) == (
        "PPO preferred",
        "DPO preferred",
        "reversed",
    )
    assert "accuracy on labelled pairs" in {row.what for row in changes_of(first, again)}
    assert "win rate" not in {row.what for row in changes_of(results, results)}


def test_a_number_that_one_side_lacks_has_no_row(results: Results) -> None:
    without = changed(results, {f"methods.ppo.{KL}": None})
    rows = {(row.of, row.what) for row in changes_of(results, without)}
    assert ("PPO", "exact KL") not in rows and ("DPO", "exact KL") in rows
