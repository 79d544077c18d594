"""Which names a section knows, without importing what defines them.

torch and TRL take seconds to import, and a mistyped name should not cost them. The fields of a
trainer's config class stand in its source file; so the source is read, not the class. Where a
source cannot be followed, nothing is refused here and the classes themselves decide.
"""

import ast
import importlib.util
from functools import cache
from pathlib import Path

from pydantic import BaseModel

from rlhf_compare.data.config import DataConfig, TaskConfig
from rlhf_compare.evaluation.config import EvaluationConfig
from rlhf_compare.methods import METHODS
from rlhf_compare.models.config import ModelConfig
from rlhf_compare.recipe_text.sweeps import FrontierConfig, TuningConfig
from rlhf_compare.runs.arguments import OWNED
from rlhf_compare.runs.config import TrackingConfig

_OURS: dict[str, type[BaseModel]] = {
    "data": DataConfig,
    "task": TaskConfig,
    "model": ModelConfig,
    "evaluation": EvaluationConfig,
    "tracking": TrackingConfig,
    "tuning": TuningConfig,
    "frontier": FrontierConfig,
}
_STAGES = ("sft", "reward", *METHODS)  # each takes the fields of its trainer's config class
_LIBRARY = (
    ("transformers", "training_args.py"),
    ("trl", "trainer/base_config.py"),
    ("trl", "trainer/sft_config.py"),
    ("trl", "trainer/reward_config.py"),
    ("trl", "trainer/dpo_config.py"),
    ("trl", "trainer/grpo_config.py"),
)
_NO_SETTINGS = ("UnreadFields",)  # PPOConfig takes them for scripts; no recipe may set them
SECTIONS = (
    *("name", "seed", "data", "task", "model"),
    *(*_STAGES, "evaluation", "tracking", "variants", "tuning", "frontier"),
)


def owned_hint(section: str, field: str) -> str | None:
    """Why a recipe may not set a field that the trainer has; None if the field is not ours."""
    return OWNED.get(field) if section in _STAGES else None


@cache
def known_fields(section: str) -> frozenset[str] | None:
    """The names that a section takes; None = not known here."""
    if section in _OURS:
        return frozenset(_OURS[section].model_fields)
    if section not in _STAGES:
        return None
    try:
        own, name = _config_class(section)
        fields = _fields_of(own[name] if name in own else _library()[name], own)
    except (OSError, SyntaxError, KeyError):
        return None
    return frozenset(fields) - frozenset(OWNED)


def _config_class(section: str) -> tuple[dict[str, ast.ClassDef], str]:
    """The classes of a stage's ``config`` module, and the name of the one that the section takes:
    the first argument of ``section_of``."""
    tree = _parsed("rlhf_compare", f"{section}/config.py")
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    made = [call for call in calls if ast.unparse(call.func) == "section_of"]
    if not made:
        raise KeyError(section)
    return _classes("rlhf_compare", f"{section}/config.py"), ast.unparse(made[0].args[0])


@cache
def _parsed(package: str, file: str) -> ast.Module:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise OSError(f"no package {package}")
    return ast.parse((Path(spec.origin).parent / file).read_text(encoding="utf-8"))


def _classes(package: str, file: str) -> dict[str, ast.ClassDef]:
    body = _parsed(package, file).body
    return {node.name: node for node in body if isinstance(node, ast.ClassDef)}


@cache
def _library() -> dict[str, ast.ClassDef]:
    found: dict[str, ast.ClassDef] = {}
    for package, file in _LIBRARY:
        found |= _classes(package, file)
    return found


def _fields_of(node: ast.ClassDef, own: dict[str, ast.ClassDef]) -> set[str]:
    """Annotated names of a class and its bases; raises KeyError where a base is not found."""
    names = {
        item.target.id
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }
    for base in node.bases:
        if ast.unparse(base) in _NO_SETTINGS:
            continue
        # of a base written trl.DPOConfig the class is the library's, whatever its name is here
        name = base.attr if isinstance(base, ast.Attribute) else ast.unparse(base)
        here = own.get(name) if isinstance(base, ast.Name) else None
        parent = here if here is not None and here is not node else _library()[name]
        names |= _fields_of(parent, own if here is not None else _library())
    return names
