"""Over-optimisation that was planted is found, and what was not is not."""

from collections.abc import Callable

import pytest

from rlhf_compare.evaluation.intervals import difference
from rlhf_compare.evaluation.measure import Measurement, as_matrix
from rlhf_compare.frontier.over_optimisation import JUDGE, KL, over_optimisation
from tests.frontier.made_up import settings

DISTANCES = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)


def bent(distance: float) -> float:
    """Gao et al.'s d (α - β d), whose peak is at α / 2β = 2."""
    return distance * (2.0 - 0.5 * distance)


def straight(distance: float) -> float:
    return distance


def found(
    judge: Callable[[float], float], proxy: Callable[[float], float], seeds: int = 3
) -> dict[str, object]:
    result = over_optimisation(settings(DISTANCES, judge, proxy, seeds))
    assert result is not None
    return result


def test_a_planted_onset_is_found_where_it_was_planted() -> None:
    result = found(bent, straight)
    assert result["verdict"] == "onset"
    assert result["peak"] == pytest.approx(2.0) and result["peaks"] == [2.0, 2.0, 2.0]
    fall = result["fall"]
    assert isinstance(fall, dict) and fall["mean"] == pytest.approx(0.5, abs=0.05)  # 2.0 - 1.5
    assert result["reach"] == pytest.approx(3.0)


def test_the_order_of_the_settings_does_not_matter() -> None:
    runs = settings(DISTANCES, bent, straight)
    assert over_optimisation(runs[::-1]) == over_optimisation(runs)


def test_a_judge_that_never_falls_has_no_onset() -> None:
    result = found(straight, straight)
    assert (result["verdict"], result["peaks"]) == ("none", [None, None, None])
    assert result["peak_interval"] is None


def test_where_the_proxy_falls_too_it_was_not_fooled() -> None:
    assert found(bent, bent)["verdict"] == "both fall"


def test_two_seeds_decide_nothing() -> None:
    assert found(bent, straight, seeds=2)["verdict"] == "undecided"


def test_a_flat_judge_seldom_gets_an_onset() -> None:
    """A peak of noise alone: the p-value is adjusted for its choice among the settings."""
    verdicts = []
    for draw in range(60):
        runs = settings(DISTANCES, lambda d: 0.0, straight, draw=draw)
        result = over_optimisation(runs)
        assert result is not None
        verdicts.append(result["verdict"])
    assert verdicts.count("onset") <= 6  # 3 expected at most; 6 is two standard deviations more


def test_the_p_value_pays_for_the_choice_of_the_peak_among_settings() -> None:
    """Six settings, so five that could have been the peak before the furthest one."""
    runs = settings(DISTANCES, lambda d: {2.0: 0.0, 3.0: -0.03}.get(d, -1.0), straight)
    peak, last = (as_matrix(list(one.values()), JUDGE) for one in (runs[3], runs[-1]))
    alone, result = difference(peak, last), over_optimisation(runs)
    assert alone is not None and result is not None and result["peak"] == pytest.approx(2.0)
    assert 0.0 < alone["p_value"] < 0.2
    assert result["p_value"] == pytest.approx(5 * alone["p_value"])


def test_nothing_is_said_of_rewards_that_were_not_measured() -> None:
    blind = [{0: Measurement(per_prompt={KL: [1.0]}, answers=[])}] * 3
    assert over_optimisation(blind) is None
    assert (
        over_optimisation(settings((1.0, 2.0), bent, straight)) is None
    )  # two points turn nowhere
    assert over_optimisation([]) is None
