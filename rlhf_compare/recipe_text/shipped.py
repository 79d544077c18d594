"""The recipes that come with the package: found by name, listed, copied."""

from pathlib import Path

from rlhf_compare.errors import RecipeError
from rlhf_compare.recipe_text.suggestions import nearest

_PACKAGE = Path(__file__).resolve().parents[1]
_ENDINGS = (".yaml", ".yml")


def recipe_files() -> dict[str, Path]:
    """Name of each recipe that comes with the package, and its file."""
    installed = _PACKAGE / "recipes"  # a checkout has them beside the package
    folder = installed if installed.is_dir() else _PACKAGE.parent / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def recipe_path(recipe: Path) -> Path:
    """The file that ``--recipe`` means: a path, or the name of a recipe of the package.

    A file of that path wins. Only a bare word (``tiny``) is looked up by name.

    Raises:
        RecipeError: a bare word that is neither a file nor a name.
    """
    if recipe.suffix in _ENDINGS or len(recipe.parts) != 1 or recipe.is_file():
        return recipe
    return _file_of(str(recipe))


def listing() -> list[str]:
    """One line a recipe: its name, and the first line of its file, which says what it is."""
    files = recipe_files()
    width = max(map(len, files))
    return [f"{name:{width}}  {_first_comment(path)}" for name, path in files.items()]


def copy_recipe(name: str, directory: Path) -> Path:
    """Write ``NAME.yaml`` into a directory, for a person to edit.

    Raises:
        RecipeError: no such recipe, the file is there already, or the directory takes no files.
    """
    copied = directory / f"{name}.yaml"
    text = _file_of(name).read_text(encoding="utf-8")
    try:
        with copied.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise RecipeError(f"{copied}: the file is there already; move or remove it") from error
    except OSError as error:
        raise RecipeError(f"{copied}: {error.strerror}") from error
    return copied


def _file_of(name: str) -> Path:
    files = recipe_files()
    if name not in files:
        near = nearest(name, files)
        raise RecipeError(
            f"recipe {name!r}: no such file, and the package has only {', '.join(files)}"
            + (f"; did you mean {near}?" if near else "; name a file as NAME.yaml")
        )
    return files[name]


def _first_comment(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.readline().lstrip("#").strip()
