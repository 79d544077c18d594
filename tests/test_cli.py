"""The command line: exit codes, and one clear line on stderr for what a person can mend."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from rlhf_compare import __version__, commands
from rlhf_compare.errors import StageFailedError
from rlhf_compare.methods import METHODS
from tests.command_line import TINY, assert_one_line

from .conftest import RECIPES

# --- usage


@pytest.mark.parametrize("arguments", [["nosuch"], ["compare", "--bad"], ["compare", "--seeds"]])
def test_wrong_usage(run: Any, arguments: list[str]) -> None:
    outcome = run(*arguments)
    assert outcome.code == 2 and outcome.out == ""
    assert "Error" in outcome.err and "Traceback" not in outcome.err
    assert arguments[-1] in outcome.err


def test_help_names_every_verb(run: Any) -> None:
    outcome = run("--help")
    assert outcome.code == 0
    for verb in (
        "compare",
        "data",
        "sft",
        "reward",
        "ppo",
        "dpo",
        "evaluate",
        "ask",
        "tune",
        "frontier",
        "report",
    ):
        assert f" {verb} " in outcome.out


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ("a b", "--seeds: 'a b': write whole numbers"),
        ("1.5", "write whole numbers"),
        ("", "give different whole numbers, none below 0"),
        ("3-1", "give different whole numbers"),
        ("1 1", "give different whole numbers"),
        ("0 -1", "none below 0"),
        ("4294967296", "--seeds: 4294967296: no seed may be over 4294967295"),
    ],
)
def test_bad_seeds(run: Any, seeds: str, message: str) -> None:
    assert_one_line(run("compare", "--dry-run", "--recipe", TINY, "--seeds", seeds), message)


def test_an_interrupt_is_130(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "make_pipeline", interrupt)
    outcome = run("compare")
    assert outcome.code == 130
    assert outcome.err == "interrupted: finished stages are kept, the same command goes on\n"


def test_a_failed_stage_is_1(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise StageFailedError("the loss is nan")

    monkeypatch.setattr(commands, "make_pipeline", fail)
    outcome = run("compare")
    assert (outcome.code, outcome.err) == (1, "error: the loss is nan\n")


# --- recipes: every fault is in test_recipe.py; here, that each kind reaches the user in one line


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("dpo.bata=1", ["override 'dpo.bata=1'", "dpo.bata: unknown key; did you mean dpo.beta?"]),
        ("sft.learning_rate=abc", ["sft.learning_rate: input should be a valid number", "'abc'"]),
        ("ppo.per_device_train_batch_size=-1", ["ppo.per_device_train_batch_size", "got -1"]),
        ("model.hub_id=gpt2", ["give exactly one, got config and hub_id"]),
        ("name=../x", ["name: ", "'../x'"]),
        ("nonsense", ["override 'nonsense': write section.field=value"]),
    ],
)
def test_bad_overrides(run: Any, override: str, parts: list[str]) -> None:
    assert_one_line(run("compare", "--dry-run", "--recipe", TINY, override), *parts)


def test_bad_recipe_files(run: Any, tmp_path: Path) -> None:
    assert_one_line(run("compare", "--recipe", "none.yaml"), "recipe none.yaml: No such file")
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [\n")
    assert_one_line(run("compare", "--recipe", broken), broken, "line 2: ")


@pytest.mark.parametrize(
    ("override", "field"),
    [
        ("sft.lr_scheduler_type=cosin", "sft: cosin is not a valid SchedulerType"),
        ("ppo.num_mini_batches=7", "ppo: "),
    ],
)
def test_what_a_trainer_refuses_is_said_before_anything_runs(
    run: Any, tmp_path: Path, override: str, field: str
) -> None:
    assert_one_line(run("compare", "--recipe", TINY, override), field)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("recipe", "needed"), RECIPES)
def test_dry_run_prints_the_plan_and_opens_no_socket(
    run: Any, recipe: Path, needed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a dry run opened a socket")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    outcome = run(
        "compare",
        "--recipe",
        recipe,
        "--dry-run",
        "--seeds",
        "0 3",
        "dpo.beta=0.7",
        "ppo.kl_coef=0.1",
        *needed,
    )
    assert (outcome.code, outcome.err) == (0, "")
    plan = yaml.safe_load(outcome.out)
    assert plan["name"] == recipe.stem and plan["dpo"]["beta"] == 0.7
    named = {"ppo", "dpo", *yaml.safe_load(recipe.read_text(encoding="utf-8"))}
    assert list(plan) == [
        *("name", "seed", "data", "task", "model", "sft", "reward"),
        *(name for name in METHODS if name in named),
        *("evaluation", "tracking", "variants"),
        *(name for name in ("tuning", "frontier") if name in named),
    ]
    assert "ppo-0 ppo-3" in outcome.out and f"runs/{recipe.stem}" in outcome.out
    if recipe.stem == "tiny":
        assert "# from the hub: nothing" in outcome.out
        assert "judge-0 judge-3" in outcome.out
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_says_what_would_be_sent_where(run: Any) -> None:
    """Six pairs of tiny's four columns under two seeds, and the labels: 13 stages of 2 * 5."""
    judge = ("judge_url=https://host/v1", "judge_model=m", "judge_prompts=5")
    settings = [f"evaluation.{setting}" for setting in judge]
    outcome = run("compare", "--recipe", TINY, "--dry-run", "--seeds", "0 3", *settings)
    assert "go to: m at https://host/v1, at most 130 questions" in outcome.out
    assert "endpoint-labels\n" in outcome.out
    assert "endpoint-ppo-sft-0 endpoint-ppo-sft-3" in outcome.out
    assert "go to:" not in run("compare", "--recipe", TINY, "--dry-run").out


@pytest.mark.parametrize(
    "verb", ["compare", "ppo", "dpo", "sft", "reward", "data", "evaluate", "tune", "frontier"]
)
def test_every_verb_checks_first_and_can_be_tried(run: Any, verb: str, tmp_path: Path) -> None:
    dry = (verb, "--recipe", TINY, "--dry-run")
    outcome = run(*dry)
    assert (outcome.code, outcome.err) == (0, "") and "# run directories" in outcome.out
    for refused in (dry, dry[:-1]):
        assert_one_line(run(*refused, "dpo.optim=nope"), "dpo: nope is not a valid OptimizerNames")
        assert_one_line(run(*refused, "model.lora={r: 0}"), "model.lora.r: 0")
    assert list(tmp_path.iterdir()) == []


def test_overrides_as_users_of_other_tools_write_them(run: Any) -> None:
    written = ("--dpo.beta=0.2", "--ppo.kl_coef", "0.3", "dpo.loss_type=ipo", "dpo.loss_weights=1")
    outcome = run("compare", "--recipe", TINY, "--dry-run", *written)
    plan = yaml.safe_load(outcome.out)
    assert (plan["dpo"]["beta"], plan["ppo"]["kl_coef"]) == (0.2, 0.3)
    assert (plan["dpo"]["loss_type"], plan["dpo"]["loss_weights"]) == (["ipo"], [1.0])
    assert_one_line(run("compare", "--recipe", TINY, "--dpo.beta"), "--dpo.beta", "dpo.beta=value")


def test_arguments_in_one_text(run: Any) -> None:
    text = "model.lora={r: 16, lora_alpha: 32} task.prefix='Let me explain: ' --seeds 0-2"
    outcome = run("compare", "--recipe", TINY, "--dry-run", "--args", text)
    plan = yaml.safe_load(outcome.out)
    assert plan["model"]["lora"] == {"r": 16, "lora_alpha": 32}
    assert plan["task"]["prefix"] == "Let me explain: " and "ppo-0 ppo-1 ppo-2" in outcome.out


def test_make_hands_its_arguments_over_whole(tmp_path: Path) -> None:
    root = TINY.parents[1]
    shown = tmp_path / "show"
    shown.write_text('#!/bin/sh\nfor word; do echo "$word"; done\n')
    shown.chmod(0o755)
    lora = "model.lora={r: 16, lora_alpha: 32}"
    done = subprocess.run(
        ["make", "-s", "-o", ".venv/.installed", "sft", f"RUN={shown}", f"ARGS={lora}"],
        cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-2:] == ["--args", lora]


def test_null_takes_a_variant_or_a_section_away(run: Any) -> None:
    away = ("variants.dpo_chapter=null", "variants.dpo_sppo_hard=null", "sft=null")
    outcome = run("compare", "--recipe", TINY.with_name("tiny_more.yaml"), "--dry-run", *away)
    plan = yaml.safe_load(outcome.out)
    assert plan["variants"] == {} and plan["sft"] == {}


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("ppo.beta=1", "did you mean ppo.kl_coef?"),
        ("dpo.kl_coef=1", "did you mean dpo.beta?"),
        ("wandb.project=x", "wandb.project: unknown key; did you mean tracking.project?"),
        ("sft.lr=1", "did you mean sft.learning_rate?"),
        ("lr=1", "did you mean sft.learning_rate?"),
        ("dpo.epochs=1", "did you mean dpo.num_train_epochs?"),
        ("reward.batch_size=1", "did you mean reward.per_device_train_batch_size?"),
    ],
)
def test_names_of_other_libraries_are_known(run: Any, override: str, meant: str) -> None:
    assert_one_line(run("compare", "--recipe", TINY, override), f"override {override!r}", meant)


def test_nothing_is_suggested_where_nothing_is_near(run: Any) -> None:
    assert "did you mean" not in run("compare", "--recipe", TINY, "foo=1").err


@pytest.mark.parametrize(
    ("written", "mode"), [("on", "auto"), ("true", "auto"), ("off", "disabled"), ("no", "disabled")]
)
def test_tracking_is_on_or_off(run: Any, written: str, mode: str) -> None:
    outcome = run("compare", "--recipe", TINY, "--dry-run", f"tracking.wandb={written}")
    assert yaml.safe_load(outcome.out)["tracking"]["wandb"] == mode


def test_a_project_that_wandb_would_refuse(run: Any) -> None:
    assert_one_line(run("compare", "--recipe", TINY, "tracking.project=a/b"), "project", "'a/b'")


def test_short_help_and_version(run: Any) -> None:
    assert "compare" in run("-h").out
    assert run("--version").out == f"rlhf-compare {__version__}\n"
    shown = run("compare", "--help").out
    assert "kl_coef=0.1" in shown and "no-dry-run" not in shown


QUICK = """
import sys
sys.argv[1:] = {arguments!r}
from rlhf_compare import __version__, cli
try:
    cli.main()
except SystemExit:
    pass
print([m for m in ("torch", "transformers", "trl", "datasets", "scipy.stats") if m in sys.modules])
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", "--recipe", str(TINY), "ppo.kl_coeff=1"],
        ["compare", "--recipe", str(TINY), "ppoo.kl_coef=1"],
        ["compare", "--recipe", str(TINY), "sft.output_dir=x"],
        ["dpo", "--recipe", "none.yaml"],
        ["sft", "--recipe", str(TINY), "nonsense"],
        ["tune", "--recipe", str(TINY), "tuning.grid=1"],
        ["ask", "--recipe", str(TINY), "What is Python?", "ppo.kl_coeff=1"],
        ["report", "--recipe", str(TINY)],
        ["--version"],
    ],
)
def test_a_typo_costs_no_training_library(arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", QUICK.format(arguments=arguments)],
        cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(TINY.parents[1])},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]", done


def test_report_of_results_that_are_not_there(run: Any, tmp_path: Path) -> None:
    assert_one_line(run("report", "--results", tmp_path / "none.json"), "none.json: no such file")
