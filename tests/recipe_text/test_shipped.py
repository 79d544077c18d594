"""A recipe of the package is found by its name, from any directory; a file wins over a name."""

import sys
from pathlib import Path

import pytest

from rlhf_compare import cli
from rlhf_compare.errors import RecipeError
from rlhf_compare.recipe import load_recipe
from rlhf_compare.recipe_text.reading import read_file
from rlhf_compare.recipe_text.shipped import copy_recipe, listing, recipe_files, recipe_path

_HOME = Path(__file__).resolve().parents[2] / "recipes"


@pytest.fixture(autouse=True)
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_file_of_the_folder_is_a_name() -> None:
    assert set(recipe_files()) == {path.stem for path in _HOME.glob("*.yaml")} >= {"tiny"}


def test_the_default_is_there_in_an_empty_directory() -> None:
    assert load_recipe(cli.DEFAULT_RECIPE) == load_recipe(_HOME / "tiny.yaml")


@pytest.mark.parametrize("file", ["tiny", "tiny.yaml", "mine/tiny"])
def test_a_file_wins_over_a_name(file: str) -> None:
    Path("mine").mkdir()
    Path(file).write_text("name: mine\n")
    assert read_file(Path(file)) == {"name": "mine"}


def test_a_directory_of_that_name_does_not_hide_the_recipe() -> None:
    Path("tiny").mkdir()
    assert read_file(Path("tiny"))["name"] == "tiny"


@pytest.mark.parametrize("path", ["tiny.yaml", "other/tiny", "./x/tiny.yml"])
def test_a_path_is_never_taken_for_a_name(path: str) -> None:
    assert recipe_path(Path(path)) == Path(path)
    with pytest.raises(RecipeError, match=r"No such file or directory; recipes by name: .*tiny"):
        read_file(Path(path))


@pytest.mark.parametrize(
    ("name", "end"), [("tinny", "; did you mean tiny?"), ("zzz", "; name a file as NAME.yaml")]
)
def test_an_unknown_name_lists_the_names(name: str, end: str) -> None:
    with pytest.raises(RecipeError) as error:
        read_file(Path(name))
    known = ", ".join(recipe_files())
    assert str(error.value) == (
        f"recipe {name!r}: no such file, and the package has only {known}{end}"
    )


def test_the_list_says_what_each_is() -> None:
    lines = listing()
    assert len(lines) == len(recipe_files())
    for name, line in zip(recipe_files(), lines, strict=True):
        first, _, words = line.partition(" ")
        assert first == name
        assert words.strip().endswith("."), f"{name}: its first comment line is no whole sentence"


def test_a_copy_is_the_file_and_nothing_is_overwritten() -> None:
    copied = copy_recipe("tiny", Path())
    assert copied.read_bytes() == (_HOME / "tiny.yaml").read_bytes()
    copied.write_text("mine")
    with pytest.raises(RecipeError, match=r"tiny\.yaml: the file is there already"):
        copy_recipe("tiny", Path())
    assert copied.read_text() == "mine"


def test_an_unknown_copy_writes_nothing() -> None:
    with pytest.raises(RecipeError, match="did you mean hh_small"):
        copy_recipe("hh_smal", Path())
    assert list(Path().iterdir()) == []


def test_the_verb_lists_and_copies(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["recipes"], ["recipes", "--copy", "tiny"]):
        monkeypatch.setattr(sys, "argv", ["rlhf-compare", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert not stop.value.code
    assert capsys.readouterr().out.splitlines() == [*listing(), "tiny.yaml: written"]
    assert Path("tiny.yaml").is_file()
