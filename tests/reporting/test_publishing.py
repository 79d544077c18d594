"""A report is written whole or not at all."""

import os
from pathlib import Path
from typing import Any

import pytest

from rlhf_compare.reporting import report
from rlhf_compare.reporting.report import Page, write_report
from rlhf_compare.reporting.schema import Results

from .conftest import changed, unmeasured

pytestmark = pytest.mark.usefixtures("quick_figures")


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_an_error_while_rendering_changes_nothing(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(results, tmp_path)
    before = snapshot(tmp_path)

    def broken(page: Page) -> str:
        raise RuntimeError("planted")

    monkeypatch.setattr(report, "render_html", broken)
    with pytest.raises(RuntimeError, match="planted"):
        write_report(changed(results, {"recipe.name": "other"}), tmp_path)
    assert snapshot(tmp_path) == before


def test_a_failure_at_any_rename_leaves_whole_files(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(results, tmp_path / "old")
    old = snapshot(tmp_path / "old")
    results = changed(results, {"methods.ppo.adoption.exact.mean": 0.5})
    write_report(results, tmp_path / "new")
    new = snapshot(tmp_path / "new")
    real, count, fail_at = os.replace, 0, 0

    def failing(source: Any, target: Any) -> None:
        nonlocal count
        count += 1
        if count == fail_at:
            raise OSError(5, "Input/output error")
        real(source, target)

    monkeypatch.setattr(os, "replace", failing)
    for attempt in range(1, 50):
        count, fail_at = 0, attempt
        try:
            write_report(results, tmp_path / "old")
        except OSError:
            after = snapshot(tmp_path / "old")
            assert after.keys() == old.keys()
            assert all(content in (old[name], new[name]) for name, content in after.items())
        else:
            break
    assert fail_at == 13  # 3 files staged, 6 pictures and 3 files published, all of them failed
    assert snapshot(tmp_path / "old") == new


def test_a_figure_of_an_earlier_report_does_not_linger(results: Results, tmp_path: Path) -> None:
    write_report(results, tmp_path)
    (tmp_path / "figures" / "mine.png").write_bytes(b"kept")
    results = changed(unmeasured(results, "kl_to_reference"), {"comparisons": []})
    write_report(results, tmp_path)
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert "adoption_against_kl.png" not in names and "adoption_against_kl.svg" not in names
    assert {"mine.png", "adoption_against_seconds.png"} <= names
