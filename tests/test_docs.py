"""The pages speak of what is there."""

import ast
import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1]
_NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?")


def _tests_in(file: str) -> set[str]:
    tree = ast.parse((_ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_fault_names_tests_that_exist() -> None:
    named = _NAMED.findall((_ROOT / "docs" / "faults.md").read_text(encoding="utf-8"))
    assert len(named) > 100
    for file, name in named:
        assert (_ROOT / file).is_file(), file
        assert not name or name in _tests_in(file), f"{file}::{name}"


@pytest.mark.parametrize(
    "page", ["README.md", *sorted(str(p.relative_to(_ROOT)) for p in (_ROOT / "docs").glob("*.md"))]
)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    text = (_ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert ((_ROOT / page).parent / target).exists(), f"{page}: {target}"
