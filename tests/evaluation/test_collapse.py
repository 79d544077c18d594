"""Which runs count as collapsed. Numbers by hand."""

import numpy as np
import pytest

from rlhf_compare.evaluation.collapse import collapsed
from rlhf_compare.evaluation.measure import Measurement


def measured(**values: list[float]) -> Measurement:
    names = {name.replace("__", "."): numbers for name, numbers in values.items()}
    return Measurement(per_prompt=names, answers=[])


def adoption(values: np.ndarray) -> Measurement:
    return measured(adoption__exact=values.tolist(), eos_rate=[1.0] * len(values))


NOISE = np.random.default_rng(0).normal(0.0, 0.2, size=50)


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
def test_a_fall_of_adoption_beyond_noise_and_of_size(
    sft: np.ndarray, policy: np.ndarray, expected: bool
) -> None:
    assert collapsed(adoption(policy), adoption(sft)) is expected


@pytest.mark.parametrize(
    ("sft", "policy", "expected"),
    [
        ([1.0] * 40, [0.0] * 40, True),
        ([1.0] * 100, [1.0] * 66 + [0.0] * 34, True),
        ([1.0] * 100, [1.0] * 85 + [0.0] * 15, False),  # beyond noise, less than a fifth
        ([1.0] * 5, [1.0] * 4 + [0.0], False),  # a fifth, within noise
        ([1.0, 0.0] * 20, [1.0, 0.0] * 19 + [0.0, 0.0], False),  # 0.500 -> 0.475
        ([0.25] * 40, [0.0] * 40, False),  # most of SFT's did not end either
    ],
)
def test_responses_that_stop_ending(sft: list[float], policy: list[float], expected: bool) -> None:
    assert collapsed(measured(eos_rate=policy), measured(eos_rate=sft)) is expected


@pytest.mark.parametrize(
    ("p0", "kl", "expected"),
    [
        (0.0372, 91.0, True),  # ten times log(1 / 0.0372) is 32.9 nats
        (0.0372, 32.0, False),
        (0.0372, 0.26, False),  # hardly moved: eighteen times its own floor, but no collapse
        (0.9, 5.0, False),  # the floor is 0.1 nats, and 1 counts
        (0.9, 11.0, True),
        (0.0, 91.0, False),  # a behaviour that SFT never shows has no floor
    ],
)
def test_a_run_far_from_the_reference(p0: float, kl: float, expected: bool) -> None:
    run = measured(kl_to_reference__exact=[kl * 0.999, kl * 1.001] * 20, base_rate=[p0] * 40)
    assert collapsed(run, measured()) is expected


def test_nothing_measured_is_no_collapse() -> None:
    assert collapsed(measured(), measured()) is False
