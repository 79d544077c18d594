"""The verb: what goes where, what is missing, what ends it."""

import io
import json
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from rlhf_compare.answers.answer import Answer, Asked
from rlhf_compare.answers.command import _told_apart
from rlhf_compare.runs import locks
from tests.command_line import TINY, assert_one_line

ASK = ("ask", "--recipe", "micro.yaml")
QUESTION = "What is a bee?"


class Typed(io.StringIO):
    """A standard input; ``terminal``: whether a person types there."""

    def __init__(self, text: str, terminal: bool = False, interrupted: bool = False) -> None:
        super().__init__(text)
        self.terminal, self.interrupted = terminal, interrupted

    def isatty(self) -> bool:
        return self.terminal

    def readline(self, *size: Any) -> str:
        line = super().readline(*size)
        if self.interrupted and not line:
            raise KeyboardInterrupt
        return line


def tree(root: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in root.rglob("*")}


def test_it_makes_nothing_and_locks_nothing(run: Any, folder: Path) -> None:
    before = tree(folder)
    assert run(*ASK, QUESTION).code == 0
    assert tree(folder) == before
    assert not [path for path in locks._held if path.is_relative_to(folder)]
    locks.claim(folder / "runs" / "micro" / "ppo-0")  # a training may go on here
    assert run(*ASK, QUESTION).code == 0
    locks.drop(folder / "runs" / "micro" / "ppo-0")


def test_one_json_object_a_question_and_nothing_else(run: Any, folder: Path) -> None:
    outcome = run(*ASK, QUESTION, "--json", "-q", "dpo.beta=1 is what?")
    assert (outcome.code, outcome.err) == (0, "") and outcome.out.isascii()
    first, second = map(json.loads, outcome.out.splitlines())
    assert (first["question"], second["question"]) == (QUESTION, "dpo.beta=1 is what?")
    assert set(first) == {field.name for field in fields(Asked)}
    for answer in first["answers"]:
        assert set(answer) == {field.name for field in fields(Answer)}
    assert [a["policy"] for a in first["answers"]] == ["sft", "ppo", "dpo", "best_of_n"]
    assert first["missing"] == [] and first["temperature"] is None and first["recipe"] == "micro"


def test_the_page_lists_the_fields() -> None:
    page = (TINY.parents[1] / "docs" / "ask.md").read_text(encoding="utf-8")
    named = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert named == [
        *(field.name for field in fields(Asked) if field.name != "answers"),
        "answers",
        *(field.name for field in fields(Answer)),
    ]


def test_without_a_question_those_of_the_recipe_are_asked(run: Any, folder: Path) -> None:
    outcome = run(*ASK, "--seeds", "3")
    assert outcome.out.splitlines()[0] == "question: What is a wasp?"
    assert "DPO: 'let me explain': no; adoption, exact: " in outcome.out
    none = run(*ASK, "evaluation.questions=[]")
    assert none.code == 2 and ("--loop" in none.err or "settings" in none.err)


def test_what_is_missing_is_named_with_its_command(run: Any, folder: Path) -> None:
    runs = folder / "runs" / "micro"
    shutil.rmtree(runs / "dpo-0")
    (runs / "ppo-0" / "done.json").unlink()
    outcome = run(*ASK, QUESTION, "--seeds", "0", "--json")
    assert outcome.code == 0
    asked = json.loads(outcome.out)
    assert [answer["policy"] for answer in asked["answers"]] == ["sft", "best_of_n"]
    assert asked["missing"] == [
        {"stage": "ppo-0", "why": "is not done: it did not finish",
         "command": "rlhf-compare ppo --recipe micro.yaml --seeds 0"},
        {"stage": "dpo-0", "why": "is not there",
         "command": "rlhf-compare dpo --recipe micro.yaml --seeds 0"},
    ]  # fmt: skip
    line = "dpo-0 is not there; to train it: rlhf-compare dpo --recipe micro.yaml --seeds 0"
    assert line in outcome.err.splitlines()


def test_other_settings_and_what_stands_on_a_missing_stage(run: Any, folder: Path) -> None:
    shutil.rmtree(folder / "runs" / "micro" / "reward-0")
    outcome = run(*ASK, QUESTION, "--seeds", "0", "--json", "dpo.beta=0.7")
    asked = json.loads(outcome.out)
    assert [answer["policy"] for answer in asked["answers"]] == ["sft"]
    assert asked["answers"][0]["reward"] is None and asked["answers"][0]["judge"] is not None
    why = {lack["stage"]: lack["why"] for lack in asked["missing"]}
    assert why["ppo-0"] == why["best_of_n-0"] == "needs reward-0, which is not there"
    assert why["dpo-0"].startswith("was made under other settings (dpo.beta (not set) -> 0.7")
    commands = {lack["stage"]: lack["command"] for lack in asked["missing"]}
    assert commands["best_of_n-0"].startswith("rlhf-compare best-of-n ")
    assert commands["dpo-0"].endswith("--seeds 0 dpo.beta=0.7")


def test_without_an_sft_model_nothing_answers(run: Any, folder: Path) -> None:
    shutil.rmtree(folder / "runs" / "micro" / "sft")
    way_out = "rlhf-compare compare --recipe micro.yaml"
    assert_one_line(run(*ASK, QUESTION), "sft is not there", way_out)
    assert_one_line(run(*ASK, QUESTION, "--runs", "no"), "no/micro/data is not there", "--runs no")
    assert not (folder / "no").exists()


def test_the_default_is_seed_0_or_the_lowest_trained(run: Any, folder: Path) -> None:
    assert json.loads(run(*ASK, QUESTION, "--json").out)["answers"][1]["seed"] == 0
    for path in (folder / "runs" / "micro").glob("*-0"):
        shutil.rmtree(path)
    answers = json.loads(run(*ASK, QUESTION, "--json").out)["answers"]
    assert [(a["policy"], a["seed"]) for a in answers] == [("sft", 3), ("dpo", 3)]
    assert answers[0]["reward"] is None


def test_a_loop_asks_until_an_empty_line(
    run: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Typed("What is a bee?\nWhat is a = b?\n\nnever\n"))
    outcome = run(*ASK, "--loop", "--json", "--seeds", "3", "--max-new-tokens", "2")
    asked = [json.loads(line)["question"] for line in outcome.out.splitlines()]
    assert asked == ["What is a bee?", "What is a = b?"] and outcome.code == 0
    monkeypatch.setattr(sys, "stdin", Typed(f"{'why ' * 400}\nWhat is a bee?\n"))
    outcome = run(*ASK, "--loop", "--json", "--seeds", "3")
    assert outcome.code == 2 and outcome.out == "" and "positions" in outcome.err


def test_a_person_may_ask_again_and_ctrl_c_is_quiet(
    run: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = f"{'why ' * 400}\n{QUESTION}\n"
    monkeypatch.setattr(sys, "stdin", Typed(lines, terminal=True, interrupted=True))
    outcome = run(*ASK, "--loop", "--json", "--seeds", "0")
    assert outcome.code == 130 and len(outcome.out.splitlines()) == 1
    assert "error: question: its prompt has" in outcome.err
    assert "interrupted" not in outcome.err and "Abort" not in outcome.err


@pytest.mark.parametrize("options", [["--temperature", "0"], ["--temperature", "nan"]])
def test_a_temperature_that_is_none(run: Any, options: list[str]) -> None:
    assert_one_line(run("ask", *options, "--recipe", TINY, QUESTION), "--temperature", "above 0")


def test_questions_and_overrides_are_told_apart() -> None:
    words = ["What is a = b?", "dpo.beta=0.3", "a=b", "data.path=a b.jsonl", "x.y z=1"]
    questions, overrides = _told_apart(words)
    assert questions == ["What is a = b?", "x.y z=1"]
    assert overrides == ["dpo.beta=0.3", "a=b", "data.path=a b.jsonl"]


def test_make_hands_a_question_over_as_it_is(tmp_path: Path) -> None:
    shown = tmp_path / "show"
    shown.write_text("#!/bin/sh\nfor word; do printf '%s\\n' \"$word\"; done\n")
    shown.chmod(0o755)
    question = 'it\'s "quoted", $HOME $(shell touch pwned) `id` $$ \\ --a.b=c; #x'
    done = subprocess.run(
        ["make", "-s", "-o", ".venv/.installed", "ask", f"RUN={shown}", f"Q={question}"],
        cwd=TINY.parents[1], capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == f"--question={question}"
    assert not (TINY.parents[1] / "pwned").exists()
