"""The log of a search: the page is made of the file, and says what happened."""

from pathlib import Path

import pytest

from rlhf_compare.recipe_text.sweeps import TuningConfig
from rlhf_compare.sweeps.points import Point
from rlhf_compare.tuning.choice import choose, edges, rule
from rlhf_compare.tuning.command import write_tuning
from rlhf_compare.tuning.figure import draw
from rlhf_compare.tuning.page import chosen_yaml, page, sentences
from rlhf_compare.tuning.results import Choice, Tuning, load_tuning
from tests.sweeps.points import ORIGIN, estimate, point

POINTS = [
    point("ppo", {"learning_rate": 2e-4, "kl_coef": 0.05}, 0.97, [6.0, 6.2]),
    point("ppo", {"learning_rate": 5e-4, "kl_coef": 0.05}, 0.98, [4.0, 4.4]),
    point("dpo", {"learning_rate": 1e-5, "beta": 0.1}, 0.5, [7.0, 7.2]),
    point("dpo", {"learning_rate": 1e-4, "beta": 0.1}, 0.3, [90.0, 92.0], collapsed=2),
]


def tuning(points: list[Point] = POINTS, behaviour: bool = True) -> Tuning:
    config = TuningConfig(grids={})
    choices = {}
    for method in dict.fromkeys(one.method for one in points):
        own = [one for one in points if one.method == method]
        found, why = choose(own, config, behaviour)
        choices[method] = Choice(
            name=found.name if found else None,
            values=found.values if found else {},
            why=why,
            edges=edges(found, own) if found else [],
        )
    return Tuning(
        schema_version=1,
        recipe="made_up",
        origin=ORIGIN,
        behaviour=behaviour,
        kl_budget=config.kl_budget,
        adoption=config.adoption,
        rule=rule(config, behaviour),
        labels={"ppo": "PPO", "dpo": "DPO", "grpo": "GRPO"},
        grids={name: {"learning_rate": [1.0], "beta": [0.1]} for name in choices},
        untuned=["grpo"],
        sft={"adoption.exact": estimate([0.04])},
        shared={"sft": 10.0, "reward": 5.0},
        points=points,
        chosen=choices,
        reasons={},
    )


def test_the_first_sentences_hold_choice_numbers_edges_and_cost() -> None:
    ppo, dpo, other, cost = sentences(tuning())
    assert ppo.startswith("PPO: learning_rate 0.0005, kl_coef 0.05 (highest efficiency")
    assert "exact adoption 0.980 [0.970, 0.990], exact KL 4.20" in ppo
    assert "Its learning_rate 0.0005 is the highest that was tried" in ppo
    assert dpo.startswith("DPO: learning_rate 1e-05, beta 0.1 (none adopts to 0.95")
    assert other == "GRPO has no grid in the recipe, so it was not tuned."
    # shared 15 s; four settings of 3 s and 1 s
    assert cost.endswith("The search held the device for 31.0 s.")
    assert "side tuning under seed 100:" in cost


def test_a_method_without_a_sound_setting_gets_none() -> None:
    lost = tuning([POINTS[1], POINTS[3]])
    assert sentences(lost)[1].startswith("DPO: nothing is chosen: no setting was finished")
    assert "dpo" not in chosen_yaml(lost) and "kl_coef: 0.05" in chosen_yaml(lost)


def test_another_loss_is_never_called_dpo() -> None:
    named = tuning().model_copy(update={"labels": {"ppo": "PPO", "dpo": "IPO", "grpo": "GRPO"}})
    assert "DPO" not in page(named) and "IPO" in page(named)


def test_the_page_holds_every_setting_by_seed_and_the_shared_stages_once() -> None:
    text = page(tuning())
    assert text.count("sft, shared") == 1
    assert "| DPO | learning_rate 0.0001, beta 0.1 | 101 | 0.3 | 92 |" in text
    assert "2 of 2; 2 collapsed" in text
    assert "learning_rate: 0.0005" in text.partition("```yaml")[2]


def test_the_page_is_made_of_the_file_alone(tmp_path: Path) -> None:
    written = write_tuning(tuning(), tmp_path)
    assert written.read_text() == page(load_tuning(tmp_path / "tuning.json"))
    assert (tmp_path / "settings.svg").is_file()


@pytest.mark.parametrize("behaviour", [True, False])
def test_the_figure_counts_the_settings_that_fit(behaviour: bool) -> None:
    points = [
        one.model_copy(update={"metrics": {**one.metrics, "reward.held_out": estimate([1.0, 2.0])}})
        for one in POINTS
    ]
    figure = draw(tuning(points, behaviour))
    assert figure is not None
    title = " ".join(figure.axes[0].get_title(loc="left").split())
    assert title.endswith("PPO 2 of 2, DPO 0 of 2" if behaviour else "PPO 2 of 2, DPO 1 of 2")
