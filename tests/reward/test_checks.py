"""Each check by hand, and models with a planted fault: the doctor must find it."""

import math

import numpy as np
import pytest

from rlhf_compare.reward import checks
from rlhf_compare.reward.checks import Check, Diagnosis
from rlhf_compare.reward.pair_gaps import PairGaps, by_margin, calibration


def gaps(*ahead: float) -> PairGaps:
    """One pair a prompt."""
    return PairGaps(np.array(ahead), np.arange(len(ahead)))


def test_pairs_of_a_ranking() -> None:
    found = PairGaps.of([[3.0, 1.0, 0.5], [2.0, 2.5]], [[0.0, 1.0, 1.0], [7.0, 7.0]])
    assert found.ahead.tolist() == [-2.0, -2.5]  # 1.0 - 3.0, 0.5 - 3.0; ties are no pairs
    assert found.prompts.tolist() == [0, 0]


def test_accuracy_has_wilsons_interval_and_equal_scores_are_wrong() -> None:
    """8 of 10: Wilson by hand, z = 1.959964."""
    value, low, high = gaps(*[1.0] * 8, -1.0, 0.0).accuracy()
    z, n, p = 1.959963985, 10, 0.8
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert value == 0.8
    assert low == pytest.approx((middle - half) / (1 + z * z / n), rel=1e-6)
    assert high == pytest.approx((middle + half) / (1 + z * z / n), rel=1e-6)


def test_accuracy_of_many_pairs_resamples_prompts_not_pairs() -> None:
    """Two prompts of 100 pairs, one all right, one all wrong: the pairs of a prompt say one thing,
    so the interval is as wide as that of two observations."""
    found = PairGaps(np.repeat([1.0, -1.0], 100), np.repeat([0, 1], 100))
    assert found.accuracy() == (0.5, 0.0, 1.0)
    weighted = PairGaps(np.array([1.0] * 9 + [-1.0]), np.array([0] * 9 + [1]))
    assert weighted.accuracy()[0] == 0.5  # a prompt counts once, however many pairs it has


@pytest.mark.parametrize(
    ("right", "wrong", "verdict"),
    [(100, 0, "ok"), (700, 300, "ok"), (570, 430, "warn"), (55, 45, "fail"), (0, 100, "fail")],
)
def test_accuracy_verdicts(right: int, wrong: int, verdict: str) -> None:
    check = checks.accuracy_check(gaps(*[1.0] * right, *[-1.0] * wrong))
    assert check.verdict == verdict and check.low is not None and check.low <= check.value


def test_calibration_error_by_hand() -> None:
    """Half the pairs claim sigmoid(2) = 0.881 and reach 0.5; half sigmoid(0.1) and reach 1."""
    bins = calibration(gaps(2.0, -2.0, 0.1, 0.1))
    assert [b["pairs"] for b in bins] == [2, 2]
    sure, unsure = 1 / (1 + math.exp(-2.0)), 1 / (1 + math.exp(-0.1))
    check = checks.calibration_check(bins)
    assert check.value == pytest.approx(0.5 * (sure - 0.5) + 0.5 * (1 - unsure), rel=1e-6)
    assert check.verdict == "warn"
    right = checks.calibration_check(calibration(gaps(*[math.log(3)] * 3, -math.log(3))))
    assert right.value == pytest.approx(0.0, abs=1e-9) and right.verdict == "ok"


def test_accuracy_by_margin_looks_at_the_surest_quarter() -> None:
    quarters = by_margin(gaps(0.1, -0.1, 0.2, -0.3, 1.0, 1.1, 5.0, 6.0))
    assert [q["accuracy"] for q in quarters] == [0.5, 0.5, 1.0, 1.0]
    assert checks.margin_check(quarters).verdict == "ok"
    assert checks.margin_check(quarters[::-1]).verdict == "warn"


def test_padding_that_changes_a_score_fails() -> None:
    assert checks.invariance_check([1e-7, -1e-7], 1.0).verdict == "ok"
    assert checks.invariance_check([0.0, -0.01], 1.0).verdict == "warn"
    assert checks.invariance_check([0.2, 0.0], 1.0).verdict == "fail"
    assert checks.invariance_check([0.0], 0.0).value == 0.0  # one score for all: nothing changed


RANKS = [[1.0, 0.0]] * 40
PROMPTS = [5 + n % 3 for n in range(40)]
LENGTHS = [[20 + n % 11, 15 + n % 7] for n in range(40)]


def length_check_of(score: object) -> Check:
    draw = np.random.default_rng(0)
    scores = [[score(side, n, draw) for side, n in enumerate(row)] for row in LENGTHS]  # type: ignore[operator]
    return checks.length_check(scores, RANKS, LENGTHS, PROMPTS, PairGaps.of(scores, RANKS))


def test_a_score_that_is_the_length_fails_however_long_chosen_responses_are() -> None:
    check = length_check_of(lambda side, n, draw: 0.1 * n)
    assert check.value == pytest.approx(1.0) and check.verdict == "fail"
    assert "longer" in check.sentence


def test_a_score_that_is_the_label_passes_though_chosen_responses_are_longer() -> None:
    check = length_check_of(lambda side, n, draw: float(side == 0) + 0.01 * draw.normal())
    assert check.verdict == "ok" and abs(check.value) < 0.5
    tiny = length_check_of(lambda side, n, draw: float(side == 0) + 1e-4 * n)
    assert tiny.value > 0.99 and tiny.verdict == "ok"  # correlated to the full, and worth nothing


def test_a_score_that_is_half_length_warns() -> None:
    check = length_check_of(lambda side, n, draw: float(side == 0) + 0.12 * n + 0.3 * draw.normal())
    assert check.verdict == "warn"


@pytest.mark.parametrize(
    ("score", "task", "verdict"),
    [(0.0, False, "ok"), (1.5, False, "warn"), (3.0, False, "fail"), (3.0, True, "warn")],
)
def test_degenerate_texts(score: float, task: bool, verdict: str) -> None:
    check = checks.degenerate_check("empty", score, 1.0, 2.0, "an empty response", task)
    assert check.verdict == verdict


def test_sft_samples_that_score_like_chosen_ones_are_named() -> None:
    assert checks.sft_check([0.0, 1.0], [2.0, 2.0]).verdict == "ok"
    assert checks.sft_check([3.0, 4.0], [2.0, 2.0]).verdict == "warn"
    assert checks.sft_check(None, [2.0]).verdict == "n/a"


def test_accuracy_that_lives_on_the_prefix_warns() -> None:
    full = gaps(*[1.0] * 10)
    assert checks.stripped_check(full, gaps(*[1.0] * 9, -1.0), "").verdict == "ok"
    assert checks.stripped_check(full, gaps(*[1.0] * 5, *[-1.0] * 5), "").verdict == "warn"
    assert checks.stripped_check(full, None, "why").verdict == "n/a"


def test_a_diagnosis_survives_the_disk() -> None:
    made = [checks.accuracy_check(gaps(1.0, -1.0)), checks.sft_check(None, [1.0])]
    found = Diagnosis(checks=made, calibration=[{"confidence": 0.5, "accuracy": 1.0, "pairs": 1}])
    assert Diagnosis.from_dict(found.as_dict()) == found
    assert [check.name for check in found.failed] == ["held_out_accuracy"]
