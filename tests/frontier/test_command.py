"""`rlhf-compare frontier`: what it refuses, what it plans, and once the whole sweep."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from rlhf_compare.frontier.results import load_frontier
from rlhf_compare.runs import runner
from tests.command_line import assert_one_line
from tests.micro_recipe import RECIPE

KNOBS = """
frontier:
  knobs:
    ppo: {kl_coef: [1e-3, 0.5]}
    dpo: {beta: [0.02, 0.5]}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "micro.yaml"
    path.write_text(RECIPE + KNOBS)
    return path


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("frontier=null", ["no section frontier", "knobs:"]),
        ("frontier.knobs.dpo={beta: [1], learning_rate: [1]}", ["knobs.dpo", "keep one"]),
        ("frontier.knobs.ppoo={lam: [1]}", ["frontier.knobs: no method 'ppoo'", "mean ppo?"]),
        ("frontier.knobs.dpo={beta: [-1]}", ["frontier.knobs.dpo.beta: -1"]),
        ("frontier.knobs={grpo: {beta: [1]}}", ["frontier.knobs names grpo", "none of them"]),
    ],
)
def test_a_knob_that_cannot_be_turned_is_refused(
    run: Any, recipe: Path, override: str, parts: list[str]
) -> None:
    assert_one_line(run("frontier", "--recipe", recipe, "--dry-run", override), *parts)


def test_the_recipes_own_value_is_among_those_of_the_knob(run: Any, recipe: Path) -> None:
    """PPO's kl_coef of 0.05 and DPO's beta of 0.1 are the defaults: their runs are the methods'."""
    outcome = run("frontier", "--recipe", recipe, "--dry-run")
    plan = yaml.safe_load(outcome.out)
    assert list(plan["variants"]) == ["ppo_kc0p001", "ppo_kc0p5", "dpo_b0p02", "dpo_b0p5"]
    for label in ("ppo-0 ppo-1 ppo-2", "dpo_b0p5-2", "evaluate-dpo-1", "judge-0"):
        assert label in outcome.out


@pytest.mark.slow
def test_a_frontier_shares_its_runs_with_a_comparison(
    run: Any, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `compare` trained is a point of the frontier, and a second call trains nothing."""
    assert run("dpo", "--recipe", recipe, "--seeds", "0").code == 0
    ran: list[str] = []
    work = runner.StageRunner._work

    def counted(self: Any, wanted: Any, *rest: Any) -> None:
        ran.append(wanted.label)
        work(self, wanted, *rest)

    monkeypatch.setattr(runner.StageRunner, "_work", counted)
    command = ("frontier", "--recipe", recipe, "--seeds", "0")
    outcome = run(*command)
    assert outcome.code == 0, outcome.err
    assert "6 settings (PPO 3, DPO 3)" in outcome.out
    assert "dpo_b0p5-0" in ran and not {"sft", "dpo-0"} & set(ran)
    made = load_frontier(tmp_path / "reports" / "micro" / "frontier" / "frontier.json")
    assert [point.name for point in made.points][:2] == ["ppo_kc0p001", "ppo"]
    assert made.origin.prompt_side == "judging"
    assert set(made.shared) == {"sft", "reward", "judge", "evaluate-sft"}
    assert made.own == {"ppo": 0.05, "dpo": 0.1} and len(made.reward_gap) == 1
    assert [one.beta for one in made.optimum] == [0.001, 0.05, 0.5]
    assert made.over_optimisation["ppo"].verdict == "undecided"
    assert {run.method for run in made.training} == {"ppo", "dpo"}
    ran.clear()
    assert run(*command).code == 0 and ran == []
