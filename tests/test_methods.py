"""A method is a folder: what a new one costs outside it, and what it gets."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rlhf_compare.methods import METHODS, load_method

from .micro_recipe import RECIPE

_ROOT = Path(__file__).resolve().parents[1]

CONFIG = '''
"""The `echo:` section."""
from dataclasses import dataclass, field
from transformers import TrainingArguments
from rlhf_compare.runs.arguments import section_of

@dataclass
class EchoConfig(TrainingArguments):
    """Arguments of a method that learns nothing."""
    loudness: float = field(default=1.0, metadata={"gt": 0, "help": "of the echo"})

EchoSection = section_of(EchoConfig, "EchoSection")
'''
STAGE = '''
"""A method that learns nothing: its policy is the SFT model."""
import shutil
from rlhf_compare.echo.config import EchoConfig, EchoSection
from rlhf_compare.runs.arguments import StageSection, build_arguments
from rlhf_compare.runs.files import write_json
from rlhf_compare.runs.method import Method, MethodInputs
from rlhf_compare.runs.context import StageContext

def arguments(section: StageSection, output_dir: str, seed: int, evaluations: int, name: str):
    return build_arguments(EchoConfig, section, name, output_dir, seed)

def train(context: StageContext, section: StageSection, inputs: MethodInputs) -> None:
    with context.meter.phase("update"):
        shutil.copytree(inputs.sft_model, context.directory.model, dirs_exist_ok=True)
    (context.directory.path / "metrics.jsonl").write_text("")

METHOD = Method(
    name="echo", section=EchoSection, needs=("sft",), feed="prompts", arguments=arguments,
    train=train, caveats=lambda settings: ("was trained on nothing.",),
)
'''


def test_every_method_is_in_the_layers_so_that_siblings_do_not_import_each_other() -> None:
    """import-linter cannot see an import that is made by name."""
    text = (_ROOT / "pyproject.toml").read_text()
    line = next(line for line in text.splitlines() if "rlhf_compare.sft |" in line)
    for name in METHODS:
        assert f"rlhf_compare.{name} " in line.replace('"', " ")


def test_methods_say_what_they_need() -> None:
    for name in METHODS:
        method = load_method(name)
        assert method.needs[0] == "sft"
        assert method.samples is None or method.samples in method.section.model_fields


def test_no_room_outside_its_own_names_a_method() -> None:
    quoted = re.compile("|".join(f'"{name}"' for name in METHODS))
    package = _ROOT / "rlhf_compare"
    found = [
        f"{path.relative_to(package)}:{number}"
        for path in sorted(package.rglob("*.py"))
        # the oracle is about two methods and one yardstick, by name
        if path.parent.name not in (*METHODS, "world") and path.name != "methods.py"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if quoted.search(line)
    ]
    assert found == []


def run(package: Path, work: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(package)}
    command = [sys.executable, "-m", "rlhf_compare.cli", *arguments]
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_new_method_is_a_folder_and_one_word(tmp_path: Path) -> None:
    """It appears in plan, costs, table, page and figures, and no other stage runs again."""
    package, work = tmp_path / "package", tmp_path / "work"
    shutil.copytree(_ROOT / "rlhf_compare", package / "rlhf_compare")
    work.mkdir()
    recipe = work / "micro.yaml"
    recipe.write_text(RECIPE)
    run(package, work, "compare", "--recipe", str(recipe))

    folder = package / "rlhf_compare" / "echo"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""Echo."""\n')
    (folder / "config.py").write_text(CONFIG)
    (folder / "stage.py").write_text(STAGE)
    table = package / "rlhf_compare" / "methods.py"
    written = table.read_text()
    table.write_text(re.sub(r"METHODS = \((.*?)\)", r'METHODS = (\1, "echo")', written))
    assert table.read_text() != written
    recipe.write_text(RECIPE.replace("evaluation:", "echo: {loudness: 2}\nevaluation:"))

    plan = run(package, work, "compare", "--recipe", str(recipe), "--dry-run")
    assert "echo-0" in plan and "loudness: 2" in plan
    said = run(package, work, "compare", "--recipe", str(recipe))
    ran = [line for line in said.splitlines() if ": running" in line]
    assert [line.split(":")[0] for line in ran] == ["echo-0", "evaluate-echo-0"], ran
    results = json.loads((work / "reports" / "micro" / "results.json").read_text())
    assert list(results["methods"]) == ["sft", "ppo", "dpo", "echo"]
    echo = results["methods"]["echo"]
    assert list(echo["cost"]["device_seconds"]["stages"]) == ["sft", "echo"]
    assert echo["kl_to_reference"]["exact"]["mean"] == 0.0
    page = (work / "reports" / "micro" / "report.md").read_text()
    assert "ECHO was trained on nothing." in page
    assert "ECHO" in run(package, work, "echo", "--recipe", str(recipe))
