"""The page on architecture: its picture is the code's, its links lead to what they name."""

import ast
import re
from pathlib import Path

import pytest

from tests.import_picture import PAGE, arrows, drawn, needed, picture

_ROOT = Path(__file__).resolve().parents[1]
_TEXT = PAGE.read_text(encoding="utf-8")
# [`file`](path) `name`, further names behind commas
_LINKS = re.findall(r"\[`([\w/.]+)`\]\(([^)]+)\)\s+((?:`[\w.]+`,?\s*)+)", _TEXT)
_NAMED = [
    (shown, path, name)
    for shown, path, names in _LINKS
    for name in re.findall(r"`([\w.]+)`", names)
]


def _defined(path: Path) -> set[str]:
    """Functions, classes and ``Class.method`` of a file."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
            names |= {f"{node.name}.{method.name}" for method in methods}
    return names


def test_the_page_names_enough() -> None:
    where = _TEXT.partition("## Where is")[2]
    assert len({path for _, path, _ in _NAMED if path in where}) >= 5


@pytest.mark.parametrize(("shown", "path", "name"), _NAMED)
def test_a_named_function_is_in_the_file(shown: str, path: str, name: str) -> None:
    file = (PAGE.parent / path).resolve()
    assert file.is_relative_to(_ROOT) and str(file).endswith(f"rlhf_compare/{shown}")
    assert name in _defined(file)


def test_folders_of_the_table_are_those_of_the_package() -> None:
    table = _TEXT.partition("## Who owns what")[2].partition("## Contracts")[0]
    owned = set(re.findall(r"`([a-z_]+)/`", table))
    packages = {path.parent.name for path in (_ROOT / "rlhf_compare").glob("*/__init__.py")}
    assert owned == packages


def test_the_picture_is_made_from_the_imports() -> None:
    assert drawn(_TEXT) == _TEXT, "run `python -m tests.import_picture`"
    assert picture() in _TEXT


def test_the_picture_leaves_out_what_a_longer_way_says() -> None:
    chain = {("a", "b"), ("b", "c"), ("a", "c"), ("d", "c")}
    assert needed(chain) == {("a", "b"), ("b", "c"), ("d", "c")}
    assert needed(arrows()) < arrows()


def test_links_of_the_guide_for_contributors_lead_somewhere() -> None:
    text = (_ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)", text)
    assert targets and all((_ROOT / target).exists() for target in targets)


# --- size

_LINES = 300


def test_files_are_short() -> None:
    lines = {
        str(path.relative_to(_ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for folder in ("rlhf_compare", "tests", "benchmarks")
        for path in (_ROOT / folder).rglob("*.py")
    }
    long = {path for path, count in lines.items() if count > _LINES}
    assert not long, f"over {_LINES} lines: split it by what its parts are about"
