"""`rlhf-compare tune`: what it refuses, what it plans, and once the whole search."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from rlhf_compare.runs import runner
from rlhf_compare.tuning.results import load_tuning
from tests.command_line import assert_one_line
from tests.micro_recipe import RECIPE

GRIDS = """
tuning:
  grids:
    ppo: {learning_rate: [1e-3, 1e-2]}
    dpo: {beta: [0.2, 0.5]}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "micro.yaml"
    path.write_text(RECIPE + GRIDS)
    return path


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("tuning=null", ["no section tuning", "grids:"]),
        (
            "tuning.grids.dpo.learning_rate=[1e-3, 1e-4]",
            [
                "tuning.grids: the numbers of settings differ (ppo 2, dpo 4)",
                "give every grid as many",
            ],
        ),
        ("tuning.grids.ppoo={lam: [1, 2]}", ["tuning.grids: no method 'ppoo'", "mean ppo?"]),
        ("tuning.grids.dpo={bata: [1, 2]}", ["tuning.grids.dpo.bata: unknown key"]),
        ("tuning.grids={grpo: {beta: [1]}}", ["tuning.grids names grpo", "none of them"]),
        ("tuning.kl_budgte=3", ["tuning.kl_budgte: unknown key; did you mean tuning.kl_budget?"]),
        ("tuning.adoption=2", ["tuning.adoption", "got 2"]),
    ],
)
def test_a_search_that_cannot_be_run_is_refused(
    run: Any, recipe: Path, override: str, parts: list[str]
) -> None:
    assert_one_line(run("tune", "--recipe", recipe, "--dry-run", override), *parts)


def test_a_preference_task_is_searched_by_the_judge(run: Any, recipe: Path) -> None:
    task = ("task={name: preference}", "data.judge_share=0")
    assert_one_line(run("tune", "--recipe", recipe, "--dry-run", *task), "data.judge_share")


def test_the_plan_of_a_search_names_its_settings_and_its_side(run: Any, recipe: Path) -> None:
    outcome = run("tune", "--recipe", recipe, "--dry-run", "--seeds", "7")
    plan = yaml.safe_load(outcome.out)
    assert list(plan["variants"]) == ["ppo_lr0p001", "ppo_lr0p01", "dpo_b0p2", "dpo_b0p5"]
    assert "evaluate-dpo_b0p5-7" in outcome.out and "reward-7" in outcome.out


@pytest.mark.slow
def test_a_search_measures_every_setting_once(
    run: Any, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second call trains nothing and writes the same numbers; another grid trains what is new."""
    command = ("tune", "--recipe", recipe, "--seeds", "7")
    outcome = run(*command)
    assert outcome.code == 0, outcome.err
    assert "4 settings (PPO 2, DPO 2) under the seeds 7, so 4 runs" in outcome.out
    file = tmp_path / "reports" / "micro" / "tuning" / "tuning.json"
    first = load_tuning(file)
    assert [point.seeds for point in first.points] == [[7]] * 4
    assert first.origin.prompt_side == "tuning" and first.origin.seeds == [7]
    assert set(first.chosen) == {"ppo", "dpo"} and first.points[0].seconds is not None
    assert set(first.shared) == {"sft", "reward", "judge", "evaluate-sft"}

    ran: list[str] = []
    work = runner.StageRunner._work

    def counted(self: Any, wanted: Any, *rest: Any) -> None:
        ran.append(wanted.label)
        work(self, wanted, *rest)

    monkeypatch.setattr(runner.StageRunner, "_work", counted)
    assert run(*command).code == 0 and ran == []
    again = json.loads(file.read_text())
    assert again["points"] == json.loads(first.model_dump_json())["points"]
    wider = ("tuning.grids.ppo.learning_rate=[1e-3]", "tuning.grids.dpo.beta=[0.7]")
    assert run(*command, *wider).code == 0
    assert ran == ["dpo_b0p7-7", "evaluate-dpo_b0p7-7"]
