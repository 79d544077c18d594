"""Summaries and differences of methods. Numbers by hand."""

import numpy as np
import pytest

from rlhf_compare.evaluation.measure import Measurement
from rlhf_compare.evaluation.summary import compare, summarise
from rlhf_compare.metrics import METRICS


def measured(**values: list[float]) -> Measurement:
    names = {name.replace("__", "."): numbers for name, numbers in values.items()}
    return Measurement(per_prompt=names, answers=[])


def adoption(*values: float) -> Measurement:
    return measured(adoption__exact=list(values))


def test_the_first_pair_leads_and_every_method_is_taken_less_sft() -> None:
    runs = {name: {0: adoption(0.1, 0.2)} for name in ("sft", "ppo", "dpo", "other")}
    rows = [row for row in compare(runs) if row["metric"] == "adoption.exact"]
    assert [(row["a"], row["b"]) for row in rows] == [
        ("ppo", "dpo"), ("ppo", "sft"), ("dpo", "sft"), ("other", "sft"),
        ("ppo", "other"), ("dpo", "other"),
    ]  # fmt: skip
    assert [row["headline"] for row in rows] == [True, *[False] * 5]
    asked = compare(runs, main=("dpo", "other"))
    assert (asked[0]["a"], asked[0]["b"]) == ("dpo", "other") and asked[0]["headline"]


def three(**values: list[float]) -> dict[int, Measurement]:
    return {seed: measured(**values) for seed in range(3)}


def test_rewards_efficiency_and_floor_are_compared() -> None:
    """Efficiency: 2 / 4 - 1 / 4 on every prompt = 0.25, without any spread."""
    kl = [3.5, 4.5] * 2
    ppo = three(
        kl_to_reference__exact=kl,
        kl_to_reference__floor=[1.75, 2.25] * 2,
        reward__proxy=[2.0, 2.0] * 2,
        reward__held_out=[1.0, 1.0] * 2,
    )
    dpo = three(
        kl_to_reference__exact=kl,
        kl_to_reference__floor=[0.875, 1.125] * 2,
        reward__proxy=[1.0, 1.0] * 2,
        reward__held_out=[1.5, 1.5] * 2,
    )
    found = {row["metric"]: row for row in compare({"ppo": ppo, "dpo": dpo})}
    assert found["kl_to_reference.floor"]["difference"]["mean"] == 1.0
    for metric, mean, who in (
        ("reward.proxy", 1.0, "ppo higher"),
        ("reward.held_out", -0.5, "dpo higher"),
    ):
        assert found[metric]["difference"]["mean"] == pytest.approx(mean)
        assert found[metric]["difference"]["low"] == pytest.approx(mean)
        assert found[metric]["verdict"] == who
    assert found["kl_to_reference.efficiency"]["difference"]["by_seed"] == [0.25] * 3


def test_the_headline_metrics() -> None:
    assert [metric.path for metric in METRICS if metric.headline] == [
        "adoption.exact", "kl_to_reference.exact", "kl_to_reference.efficiency", "reward.held_out",
    ]  # fmt: skip
    assert all(metric.compared for metric in METRICS if metric.headline)


def test_no_efficiency_where_nothing_drifted() -> None:
    still = measured(kl_to_reference__exact=[0.0, 0.0], kl_to_reference__floor=[0.0, 0.0])
    moved = measured(kl_to_reference__exact=[1.0, 1.1], kl_to_reference__floor=[0.5, 0.6])
    rare = measured(kl_to_reference__exact=[1.0, 0.0], kl_to_reference__floor=[0.5, 0.0])
    for other in (still, rare):
        names = [row["metric"] for row in compare({"ppo": {0: moved}, "dpo": {0: other}})]
        assert "kl_to_reference.efficiency" not in names and "kl_to_reference.exact" in names


def test_every_pair_is_compared_over_the_seeds_that_it_shares() -> None:
    """The variant failed under seeds 0 and 1, which costs the first two nothing."""
    runs = {
        "ppo": {seed: adoption(0.5, 0.6) for seed in (0, 1, 2)},
        "dpo": {seed: adoption(0.4, 0.5) for seed in (0, 1, 2)},
        "variant": {2: adoption(0.4, 0.5)},
    }
    seeds = {(row["a"], row["b"]): row["difference"]["seeds"] for row in compare(runs)}
    assert seeds == {("ppo", "dpo"): 3, ("ppo", "variant"): 1, ("dpo", "variant"): 1}


def test_no_row_where_no_seed_is_shared() -> None:
    runs = {"ppo": {0: adoption(0.5, 0.6)}, "dpo": {1: adoption(0.4, 0.5)}}
    assert compare(runs) == []


def test_sft_is_one_run() -> None:
    """Two samplings of one model: one row, their mean. Two reward models: two rows."""
    runs = [
        measured(adoption__sampled=[0.0, 1.0], reward__proxy=[1.0, 3.0]),
        measured(adoption__sampled=[0.5, 1.0], reward__proxy=[5.0, 9.0]),
    ]
    summary = summarise(runs, one_run=True)
    sampled, proxy = summary["adoption"]["sampled"], summary["reward"]["proxy"]
    assert (sampled["seeds"], sampled["by_seed"]) == (1, [0.625])
    assert (proxy["seeds"], proxy["by_seed"]) == (2, [2.0, 7.0])
    assert summarise(runs)["adoption"]["sampled"]["by_seed"] == [0.5, 0.75]


def test_a_topic_is_the_unit_in_summaries_and_differences() -> None:
    def run(shift: float) -> Measurement:
        draw = np.random.default_rng(0)
        values = np.repeat(draw.normal(shift, 1.0, size=10), 5) * np.linspace(1, 1.1, 50)
        return Measurement(
            per_prompt={"length": values.tolist()}, answers=[], topics=[i // 5 for i in range(50)]
        )

    length = summarise([run(0.0)])["length"]
    assert (length["n"], length["units"]) == (50, 10)
    (row,) = compare({"ppo": {0: run(0.0)}, "dpo": {0: run(1.0)}})
    assert row["difference"]["units"] == 10
