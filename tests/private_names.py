"""Finds in our source the private names of libraries that it uses."""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import rlhf_compare

ROOT = Path(rlhf_compare.__file__).resolve().parent
LIBRARIES = ("trl", "transformers", "peft", "accelerate", "datasets", "wandb", "torch")
_BY_TEXT = ("getattr", "hasattr", "setattr", "delattr")


@cache
def trees() -> dict[str, ast.Module]:
    """The source of the package, by file."""
    return {
        str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(ROOT.rglob("*.py"))
    }


@cache
def modules() -> list[ModuleType]:
    names = [m.name for m in pkgutil.walk_packages(rlhf_compare.__path__, "rlhf_compare.")]
    return [importlib.import_module(name) for name in names]


@cache
def our_classes() -> dict[type, set[type]]:
    """Each class of ours with the classes of libraries that it stands on.

    A mixin stands on what its subclasses stand on.
    """
    found: dict[type, set[type]] = {}
    for module in modules():
        for value in filter(inspect.isclass, vars(module).values()):
            theirs = {c for c in value.__mro__ if c.__module__.split(".")[0] in LIBRARIES}
            for ours in (c for c in value.__mro__ if c.__module__.startswith("rlhf_compare")):
                found.setdefault(ours, set()).update(theirs)
    return {cls: theirs for cls, theirs in found.items() if theirs}


def file_of(cls: type) -> str:
    return str(Path(inspect.getfile(cls)).relative_to(ROOT))


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def private_uses() -> set[tuple[str, str]]:
    """(private name of a library, file of ours that uses it)."""
    found = set(_from_classes())
    ours = {name for tree in trees().values() for name in _defined(tree)}
    for file, tree in trees().items():
        for node in ast.walk(tree):
            found |= {(name, file) for name in _named(node) if name not in ours}
            found |= {(name, file) for name in _imported(node)}
    return found


def _from_classes() -> Iterator[tuple[str, str]]:
    """What a class of ours overrides, calls, reads or sets of the classes above it.

    A name that both sides define is a use too: the library's own code reads what we wrote.
    """
    for cls, above in our_classes().items():
        file = file_of(cls)
        theirs = {name for base in above for name in names_of(base)}
        node = next(
            n
            for n in ast.walk(trees()[file])
            if isinstance(n, ast.ClassDef) and n.name == cls.__name__
        )
        used = {name for part in ast.walk(node) for name in (*_named(part), *_defined_by(part))}
        yield from ((name, file) for name in used & theirs)


@cache
def names_of(cls: type) -> frozenset[str]:
    """The private names that a class defines, and those that its methods set on ``self``."""
    try:
        tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(cls)))
    except (OSError, TypeError, IndentationError):
        return frozenset(filter(is_private, vars(cls)))
    return frozenset(name for name in _defined(tree) if is_private(name))


def _defined(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        yield from _defined_by(node)


def _defined_by(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_self(node):
        yield node.attr


def _named(node: ast.AST) -> Iterator[str]:
    """A private name behind a dot, or as a text: ``x._name``, ``getattr(x, "_name")``."""
    if isinstance(node, ast.Attribute) and is_private(node.attr):
        yield node.attr
    if isinstance(node, ast.Call) and ast.unparse(node.func) in _BY_TEXT:
        texts = [part.value for part in node.args if isinstance(part, ast.Constant)]
        yield from (text for text in texts if isinstance(text, str) and is_private(text))


def _is_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "self"


def _imported(node: ast.AST) -> Iterator[str]:
    """Private names, and names out of private modules, that are imported from a library."""
    if isinstance(node, ast.Import):
        parts = [part for alias in node.names for part in alias.name.split(".")]
        yield from filter(is_private, parts)
    if not isinstance(node, ast.ImportFrom) or (node.module or "").startswith("rlhf_compare"):
        return
    within = any(is_private(part) for part in (node.module or "").split("."))
    yield from (alias.name for alias in node.names if within or is_private(alias.name))
