"""The table in the terminal: 80 columns, no markup from text, nulls named."""

import io
from typing import Any

import pytest
from rich.console import Console

from rlhf_compare.reporting.schema import Results
from rlhf_compare.reporting.terminal import print_table

from .conftest import HOSTILE, changed, method, stage, unmeasured


def printed(results: Results, methods: list[str] | None = None, width: int = 80) -> str:
    file = io.StringIO()
    print_table(results, methods, Console(file=file, width=width, force_terminal=False))
    return file.getvalue()


def line(text: str, label: str) -> list[str]:
    return next(part for part in text.splitlines() if part.strip().startswith(label)).split()


@pytest.mark.parametrize("methods", [None, ["sft", "ppo"], ["dpo"]])
def test_it_fits_80_columns_and_cuts_nothing(results: Results, methods: Any) -> None:
    results = changed(results, {"methods.ipo": method(0.9, 4.0, 2.5, sft=stage(update=1000.0))})
    text = printed(results, methods)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for name in methods or results.methods:
        assert name.upper() in text


def test_numbers_stand_under_their_method(results: Results) -> None:
    text = printed(results)
    assert line(text, "adoption, exact") == ["adoption,", "exact", "0.050", "0.810", "0.930"]
    assert line(text, "device time, path")[-3:] == ["20.0", "90.0", "30.0"]
    assert "[0.790, 0.830]" in text
    assert line(text, "KL, k1") == ["KL,", "k1", "not", "measured", "4.70", "5.00"]
    assert "DPO moved further" in " ".join(text.split())


def test_one_method_has_one_line_a_metric(results: Results) -> None:
    text = printed(results, ["ppo"])
    assert "0.810 [0.790, 0.830]" in text
    assert "0.930" not in text and "moved further" not in text
    assert "not measured" in printed(unmeasured(results, "entropy", of=("ppo",)), ["ppo"])


def test_text_is_neither_markup_nor_escape_sequence(results: Results) -> None:
    name = "[bold red]tiny[/bold red] " + HOSTILE.replace("\ud800", "")
    results = changed(results, {"recipe.name": name, "provenance.device.name": "[/]"})
    text = printed(results)
    assert "[bold red]tiny[/bold red]" in text and "[/]" in text
    assert "\x1b" not in text and "\u202e" not in text and "\x00" not in text
    assert "⟨U+001B⟩" in text


def test_an_unknown_method_is_refused(results: Results) -> None:
    with pytest.raises(ValueError, match="no method 'grpo'"):
        printed(results, ["grpo"])


def test_reporting_imports_no_training_library() -> None:
    import subprocess
    import sys

    code = (
        "import sys, rlhf_compare.reporting.report, rlhf_compare.reporting.terminal; "
        "print([m for m in ('torch', 'transformers', 'trl', 'matplotlib.pyplot') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
