"""Other learning rates are runs of their own, and no columns of the page."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rlhf_compare.collect import collect_results
from rlhf_compare.finished import Finished
from rlhf_compare.pipeline import Pipeline
from rlhf_compare.recipe import load_recipe
from rlhf_compare.sensitivity import columns, trials_of, with_other_rates

from .micro_recipe import RECIPE, collected
from .test_collect import Made, finished, made

__all__ = ["finished", "made"]  # fixtures

_SHIPPED = Path(__file__).resolve().parents[1] / "recipes" / "tiny_more.yaml"


def test_each_method_with_a_learning_rate_is_trained_at_two_more() -> None:
    recipe = load_recipe(_SHIPPED, ["ppo.learning_rate=6e-4"])
    more = with_other_rates(recipe)
    assert trials_of(recipe, "ppo") == {}
    assert list(trials_of(more, "ppo")) == ["ppo_lr_div3", "ppo_lr_x3"]
    rates = [more.section(name).value("learning_rate") for name in trials_of(more, "ppo")]
    assert rates == pytest.approx([2e-4, 1.8e-3])
    assert more.section("ppo_lr_x3").value("kl_coef") == recipe.section("ppo").value("kl_coef")
    assert trials_of(more, "best_of_n") == {}  # it trains nothing
    assert columns(more, more.methods) == list(recipe.methods)


def test_their_means_stand_beside_the_method_and_not_as_columns(
    made: Made, finished: Finished
) -> None:
    """Two seeds each; under three times the rate one fails and the other loses its adoption."""
    for label in ("dpo_lr_x3-0", "dpo_lr_div3-0", "dpo_lr_div3-1"):
        made.stage(label, update=1.0)
    results = collect_results(
        replace(
            finished,
            recipe=with_other_rates(made.recipe),
            evaluations={
                **finished.evaluations,
                "dpo_lr_div3": {s: made.evaluation("dpo_lr_div3", s, [0.6] * 4) for s in (0, 1)},
                "dpo_lr_x3": {0: made.evaluation("dpo_lr_x3", 0, [0.0] * 4)},
            },
            failed={"dpo_lr_x3": [1]},
            reasons={"dpo_lr_x3": "the loss is NaN"},
        ),
        "the command",
    )
    assert list(results.methods) == ["sft", "dpo"]
    assert results.failures == []
    assert {row.a for row in results.comparisons} | {row.b for row in results.comparisons} == {
        "dpo",
        "sft",
    }
    third, thrice = results.methods["dpo"].sensitivity
    assert (third.factor, thrice.factor) == (pytest.approx(1 / 3), 3.0)
    assert third.means == {"adoption.exact": pytest.approx(0.6)}
    assert tuple(end for _, end in third.runs) == (2, 0, 0)
    assert tuple(end for _, end in thrice.runs) == (1, 1, 1)


@pytest.mark.slow
def test_a_comparison_with_other_rates_shares_sft_and_reward_and_resumes(tmp_path: Path) -> None:
    (tmp_path / "micro.yaml").write_text(RECIPE)
    recipe = with_other_rates(load_recipe(tmp_path / "micro.yaml"))
    lines: list[str] = []
    pipeline = Pipeline(recipe, tmp_path / "runs", say=lines.append)
    pipeline.check()
    results = collected(pipeline, pipeline.compare(recipe.methods, [0]))
    assert list(results["methods"]) == ["sft", "ppo", "dpo"]
    for name in ("ppo", "dpo"):
        trials = results["methods"][name]["sensitivity"]
        assert [trial["runs"]["completed"] for trial in trials] == [1, 1]
        kept = results["methods"][name]["adoption"]["exact"]["mean"]
        assert all(trial["means"]["adoption.exact"] != kept for trial in trials)
    _counted_as_it_trained(results["methods"])
    assert sum(line.startswith(("sft: running", "reward-0: running")) for line in lines) == 2
    again = Pipeline(recipe, tmp_path / "runs", say=lines.append)
    lines.clear()
    again.compare(recipe.methods, [0])
    assert not any("running" in line for line in lines)


def _counted_as_it_trained(methods: dict[str, Any]) -> None:
    assert methods["sft"]["complexity"] == {}
    ppo, dpo = methods["ppo"]["complexity"], methods["dpo"]["complexity"]
    assert set(ppo["ppo"]["models"]) == {"policy", "value model", "reference", "reward model"}
    assert set(ppo["reward"]["models"]) == {"reward model"}
    # DPO's reference spoke before the training began
    assert dpo["dpo"]["models"] == {"policy": ppo["ppo"]["models"]["policy"]}
    assert ppo["ppo"]["settings"] == 8 and dpo["dpo"]["settings"] == 3
    assert ppo["ppo"]["lines"]["here"] > 0 == ppo["ppo"]["lines"]["trl"]
    assert [one["seed"] for one in methods["ppo"]["cost"]["by_seed"]] == [0]
    assert methods["ppo"]["sampling"] == {"temperature": 0.7, "response_length": 8}
    assert methods["dpo"]["sampling"] is None
