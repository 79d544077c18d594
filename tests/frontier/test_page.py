"""The page of a frontier: each sentence of its outcome has a condition that flips it."""

from pathlib import Path
from typing import Any

import pytest

from rlhf_compare.frontier.command import write_frontier
from rlhf_compare.frontier.figures import DRAWINGS
from rlhf_compare.frontier.page import page, sentences
from rlhf_compare.frontier.results import load_frontier, pairs_of
from tests.frontier.made_up import curve, frontier


def ppo_and_dpo(ahead: float = 0.1, seeds: int = 3, judge: float = 4.0) -> list[Any]:
    return [*curve("ppo", "kl_coef", ahead, seeds, judge), *curve("dpo", "beta", 0.0, seeds)]


def first(points: list[Any]) -> str:
    return sentences(frontier(points))[0]


def test_the_higher_frontier_is_named_with_its_range_and_interval() -> None:
    text = first(ppo_and_dpo())
    assert text.startswith("Between 1.50 and 9.00 nats, PPO's frontier is higher than DPO's in")
    assert "exact adoption by" in text and "3 seeds." in text
    assert "Each KL alone: PPO from 1.50 to 9.00 nats is higher." in text
    assert "DPO's frontier is higher than PPO's" in first(ppo_and_dpo(ahead=-0.1))


def test_equal_frontiers_name_nobody_and_say_what_is_excluded() -> None:
    text = first(ppo_and_dpo(ahead=0.0))
    assert "no difference of the frontiers in exact adoption is shown" in text
    assert "is excluded" in text and "is higher" not in text


def test_another_loss_is_never_called_dpo() -> None:
    named = frontier(ppo_and_dpo()).model_copy(update={"labels": {"ppo": "PPO", "dpo": "IPO"}})
    assert "DPO" not in page(named, []) and "IPO" in page(named, [])


@pytest.mark.parametrize(("seeds", "words"), [(1, "one seed"), (2, "two seeds")])
def test_few_seeds_give_a_direction_and_no_verdict(seeds: int, words: str) -> None:
    text = first(ppo_and_dpo(seeds=seeds))
    assert f"{words}: a direction, no verdict: PPO reached" in text and "higher" not in text


def test_methods_without_a_common_kl_are_not_compared() -> None:
    points = [*curve("ppo", "kl_coef")[:2], *curve("dpo", "beta")[3:]]
    assert first(points).startswith("PPO and DPO are not compared")


def test_a_setting_that_lost_a_seed_is_on_no_curve() -> None:
    """Without the two settings at its ends, PPO's range is that of the other three."""
    points = ppo_and_dpo()
    for place in (0, 4):
        runs = points[place].runs.model_copy(update={"collapsed": 1})
        points[place] = points[place].model_copy(update={"runs": runs})
    pair = pairs_of(points)[0]
    assert pair["low"] == pytest.approx(2.5, abs=0.01) and pair["high"] < 6.01


def test_the_judge_is_compared_too() -> None:
    values = [pair.value for pair in frontier(ppo_and_dpo()).pairs]
    assert values == ["adoption.exact", "reward.held_out"]
    text = sentences(frontier(ppo_and_dpo(judge=8.0)))[1]
    assert "PPO's frontier is higher than DPO's in judge reward" in text


ONSET = {
    "verdict": "onset",
    "seeds": [0, 1, 2],
    "peak": 2.0,
    "peaks": [1.9, 2.0, 2.1],
    "peak_interval": [1.75, 2.25],
    "fall": None,
    "rise": None,
    "p_value": 0.01,
    "reach": 3.0,
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "PPO: over-optimisation sets in at √KL 2.00 [1.75, 2.25], beyond which"),
        (
            {"peaks": [1.9, 2.0, None], "peak_interval": None},
            "sets in at √KL 2.00 (2 of 3 seeds have their peak inside the range)",
        ),
        ({"verdict": "none"}, "PPO: no onset of over-optimisation within the range, which ends at"),
        ({"verdict": "both fall"}, "no over-optimisation of the proxy is shown"),
        ({"verdict": "undecided"}, "fewer than 3 seeds, so no verdict on over-optimisation"),
    ],
)
def test_each_verdict_on_over_optimisation_has_its_sentence(
    changes: dict[str, Any], words: str
) -> None:
    made = frontier(ppo_and_dpo(), over_optimisation={"ppo": {**ONSET, **changes}})
    assert any(words in line for line in sentences(made))


def test_the_page_is_made_of_the_file_alone(tmp_path: Path) -> None:
    written = write_frontier(frontier(ppo_and_dpo()), tmp_path)
    loaded = load_frontier(tmp_path / "frontier.json")
    assert written.read_text() == page(loaded, list(DRAWINGS))
    assert all((tmp_path / f"{name}.svg").is_file() for name in DRAWINGS)


def test_the_page_holds_points_seeds_yardsticks_and_cost() -> None:
    text = page(frontier(ppo_and_dpo()), ["adoption"])
    assert "| 0.5 (the recipe's) |" in text and "| PPO | kl_coef 1 | 100 |" in text
    assert "## Best of n, computed" in text and "2.50, of the seeds 2.00, 3.00" in text
    assert "Crosses:" in text and "Squares:" in text
    bare = page(frontier(ppo_and_dpo(), yardstick=[], optimum=[]), ["adoption"])
    assert "Crosses:" not in bare and "Squares:" not in bare and "Best of n" not in bare
    # shared 15 s; ten settings of 3 s and 1 s
    assert "| sum | 55.0 |" in text and text.count("sft, shared") == 1


@pytest.mark.parametrize(
    ("ahead", "seeds", "words"),
    [
        (0.1, 3, "Adoption over 1.5 to 9.0 nats: PPO 0.062 above DPO in the mean"),
        (-0.1, 3, "DPO 0.062 above PPO in the mean"),
        (0.0, 3, "no difference of"),
        (0.1, 1, "too few seeds"),
    ],
)
def test_the_title_of_the_figure_is_its_takeaway(ahead: float, seeds: int, words: str) -> None:
    figure = DRAWINGS["adoption"][0](frontier(ppo_and_dpo(ahead, seeds)))
    assert figure is not None
    assert words in " ".join(figure.axes[0].get_title(loc="left").split())


def test_policies_that_did_not_move_fill_no_axis_with_rounding() -> None:
    """An axis of 1e-8 nats leaves matplotlib no room, and says nothing."""
    points = []
    for one in ppo_and_dpo():
        drift = one.metrics["kl_to_reference.exact"]
        assert drift is not None
        still = drift.model_copy(update={"mean": 1e-8, "by_seed": [1e-8, -1e-8, 2e-8]})
        metrics = {**one.metrics, "kl_to_reference.exact": still}
        points.append(one.model_copy(update={"metrics": metrics}))
    made = frontier(points)
    for name in ("adoption", "judge", "over_optimisation"):
        figure = DRAWINGS[name][0](made)
        assert figure is not None and figure.axes[0].get_xlim()[1] >= 0.1
    assert made.pairs == [] and "are not compared" in sentences(made)[0]


def test_figures_need_what_they_draw() -> None:
    made = frontier(ppo_and_dpo(), training=[], sft={})
    drawn = [name for name, (draw, _) in DRAWINGS.items() if draw(made) is not None]
    assert drawn == ["adoption", "judge"]
