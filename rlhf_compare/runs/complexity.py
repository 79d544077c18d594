"""What a trainer holds and stands on, counted on the trainer itself and not declared: the models in
memory while it trains, and the lines of code that make its steps."""

import inspect
import io
import tokenize
from collections.abc import Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any

import torch
from transformers import PreTrainedModel

from rlhf_compare.models.heads import ScalarHeadModel

_OURS, _TRL = "rlhf_compare", "trl"
_SHARED = ("runs", "models")  # folders that every stage stands on
# equipment of the evaluation and of the log; TRL's and the Trainer's aliases of what trains
_NOT_ITS_OWN = ("probe", "callback_handler", "model_wrapped", "accelerator", "optimizer")
_ROLES = (("reward", "reward model"), ("scor", "reward model"), ("ref", "reference"),
          ("value", "value model"))  # fmt: skip


def models_held(trainer: Any) -> dict[str, int]:
    """Every model that is reached from a trainer, by its role -> parameters.

    A parameter that two models share counts once, for the first; a model that adds none, such as a
    reference that is the policy with its adapters off, is none of its own. The probe's models
    belong to the evaluation.
    """
    trained = "reward model" if ".reward." in type(trainer).__module__ else "policy"
    held: dict[str, int] = {}
    counted: set[int] = set()
    for path, model in _models(trainer, "", set()):
        own = {id(p): p.numel() for p in model.parameters() if id(p) not in counted}
        if own:
            role = next((role for word, role in _ROLES if word in path), trained)
            held[role] = held.get(role, 0) + sum(own.values())
            counted.update(own)
    return held


def _models(thing: Any, path: str, seen: set[int]) -> Iterator[tuple[str, torch.nn.Module]]:
    """(path of attribute names, model) for every model that can be reached through attributes of
    our own objects, containers, bound arguments and closures."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, torch.nn.Module):
        if isinstance(thing, PreTrainedModel | ScalarHeadModel) or not _holds_models(thing):
            yield path, thing
        else:  # a wrapper of several models, such as policy and critic, or of adapters
            for name, part in thing.named_children():
                yield from _models(part, f"{path}.{name}", seen)
        return
    for name, part in _parts(thing).items():
        if name not in _NOT_ITS_OWN:
            yield from _models(part, f"{path}.{name}", seen)


def _holds_models(module: torch.nn.Module) -> bool:
    children = [part for part in module.modules() if part is not module]
    return any(isinstance(part, PreTrainedModel | ScalarHeadModel) for part in children)


def _parts(thing: Any) -> Mapping[str, Any]:
    """What an object refers to, as far as it may hold a model of the trainer's own."""
    if isinstance(thing, dict):
        return {str(key): value for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        # rows and numbers hold no model, and there may be millions
        return {str(i): part for i, part in enumerate(thing) if not isinstance(part, int | float)}
    if isinstance(thing, partial):
        return {**thing.keywords, "args": thing.args, "func": thing.func}
    if isinstance(thing, MethodType):
        return {"self": thing.__self__}
    if isinstance(thing, FunctionType):
        try:
            return inspect.getclosurevars(thing).nonlocals
        except ValueError:  # a variable that has no value yet
            return {}
    ours = any(kind.__module__.split(".")[0] in (_OURS, _TRL) for kind in type(thing).__mro__)
    return vars(thing) if ours and hasattr(thing, "__dict__") else {}


def code_behind(trainer: Any) -> dict[str, int]:
    """Lines of code that make a trainer's steps: ``here``, in the folders of this package that its
    classes come from, without those that all stages share; ``trl``, in the modules of TRL's trainer
    classes that it builds on. What transformers and torch do is behind every stage and in neither.
    """
    modules = [kind.__module__ for kind in type(trainer).__mro__]
    folders = {name.split(".")[1] for name in modules if name.startswith(f"{_OURS}.")}
    root = Path(__file__).resolve().parents[1]
    here = [path for name in folders.difference(_SHARED) for path in (root / name).rglob("*.py")]
    theirs = {
        Path(inspect.getfile(kind)) for kind in type(trainer).__mro__
        if kind.__module__.split(".")[0] == _TRL
    }  # fmt: skip
    return {"here": sum(map(code_lines, here)), "trl": sum(map(code_lines, theirs))}


@cache
def code_lines(path: Path) -> int:
    """Lines that hold code: no blank line, comment or docstring is one."""
    idle = (
        tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
        tokenize.ENDMARKER,
    )  # fmt: skip
    lines: set[int] = set()
    starts_statement = True
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type not in idle and not (starts_statement and token.type == tokenize.STRING):
            lines.update(range(token.start[0], token.end[0] + 1))
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            starts_statement = token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    return len(lines)
