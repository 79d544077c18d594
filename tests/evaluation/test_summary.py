"""Differences, and which runs count as collapsed. Numbers by hand."""

import numpy as np
import pytest

from rlhf_compare.evaluation.measure import Measurement
from rlhf_compare.evaluation.summary import collapsed, compare


def measured(**values: list[float]) -> Measurement:
    names = {name.replace("__", "."): numbers for name, numbers in values.items()}
    return Measurement(per_prompt=names, answers=[])


def adoption(*values: float) -> Measurement:
    return measured(adoption__exact=[float(v) for v in values], eos_rate=[1.0] * len(values))


def test_the_first_pair_leads_and_every_method_is_taken_less_sft() -> None:
    runs = {name: [adoption(0.1, 0.2)] for name in ("sft", "ppo", "dpo", "other")}
    rows = [row for row in compare(runs) if row["metric"] == "adoption.exact"]
    assert [(row["a"], row["b"]) for row in rows] == [
        ("ppo", "dpo"), ("ppo", "sft"), ("dpo", "sft"), ("other", "sft"),
        ("ppo", "other"), ("dpo", "other"),
    ]  # fmt: skip


def test_rewards_and_efficiency_are_compared() -> None:
    """Efficiency: 2 / 4 - 1 / 4 on every prompt = 0.25, without any spread."""
    kl = [3.0, 5.0]
    ppo = measured(
        kl_to_reference__exact=kl,
        kl_to_reference__floor=[1.5, 2.5],
        reward__proxy=[2.0, 2.0],
        reward__held_out=[1.0, 1.0],
    )
    dpo = measured(
        kl_to_reference__exact=kl,
        kl_to_reference__floor=[0.75, 1.25],
        reward__proxy=[1.0, 1.0],
        reward__held_out=[1.5, 1.5],
    )
    found = {row["metric"]: row for row in compare({"ppo": [ppo], "dpo": [dpo]})}
    for metric, mean, who in (
        ("kl_to_reference.efficiency", 0.25, "ppo higher"),
        ("reward.proxy", 1.0, "ppo higher"),
        ("reward.held_out", -0.5, "dpo higher"),
    ):
        assert found[metric]["difference"]["mean"] == pytest.approx(mean)
        assert found[metric]["difference"]["low"] == pytest.approx(mean)
        assert found[metric]["verdict"] == who


def test_no_efficiency_where_nothing_drifted() -> None:
    still = measured(kl_to_reference__exact=[0.0, 0.0], kl_to_reference__floor=[0.0, 0.0])
    moved = measured(kl_to_reference__exact=[1.0, 2.0], kl_to_reference__floor=[0.5, 1.0])
    rare = measured(kl_to_reference__exact=[1.0, 0.0], kl_to_reference__floor=[0.5, 0.0])
    for other in (still, rare):  # some draws of `rare` hold no KL at all
        names = [row["metric"] for row in compare({"ppo": [moved], "dpo": [other]})]
        assert "kl_to_reference.efficiency" not in names and "kl_to_reference.exact" in names


DRAW = np.random.default_rng(0)
NOISE = DRAW.normal(0.0, 0.2, size=50)


@pytest.mark.parametrize(
    ("sft", "policy", "expected"),
    [
        (np.full(50, 0.3), np.full(50, 0.01), True),
        (np.full(50, 5.89e-18), np.full(50, 5.84e-18), False),  # a loss of nothing
        (np.full(50, 0.5), np.full(50, 0.499), False),  # beyond noise, without size
        (np.full(50, 0.3), 0.29 + NOISE, False),  # within noise
        (np.r_[np.zeros(49), 1.0], np.zeros(50), False),  # one prompt of fifty: noise
        (np.full(50, 0.3), np.full(50, 0.9), False),
    ],
)
def test_a_collapse_is_a_fall_beyond_noise_and_of_size(
    sft: np.ndarray, policy: np.ndarray, expected: bool
) -> None:
    assert collapsed(adoption(*policy), adoption(*sft)) is expected


@pytest.mark.parametrize(
    ("sft", "policy", "expected"),
    [
        ([1.0] * 40, [0.0] * 40, True),
        ([1.0, 0.0] * 20, [1.0, 0.0] * 19 + [0.0, 0.0], False),  # 0.500 -> 0.475
        ([0.25] * 40, [0.0] * 40, False),  # most of SFT's did not end either
    ],
)
def test_so_is_one_of_responses_that_end(
    sft: list[float], policy: list[float], expected: bool
) -> None:
    assert collapsed(measured(eos_rate=policy), measured(eos_rate=sft)) is expected


def test_nothing_measured_is_no_collapse() -> None:
    assert collapsed(measured(), measured()) is False
