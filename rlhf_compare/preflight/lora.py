"""``model.lora`` put on the policy without weights: what PEFT refuses, and what it overlooks."""

import dataclasses
import difflib
import typing
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer

from rlhf_compare.errors import first_line
from rlhf_compare.models.adapters import lora_config
from rlhf_compare.preflight.models import on_meta, policy_config
from rlhf_compare.recipe import Recipe


def lora_faults(recipe: Recipe) -> list[str]:
    """Why the adapters of a recipe cannot be put on its policy; empty if they can."""
    fields = recipe.model.lora
    if fields is None:
        return []
    faults = _field_faults(fields)
    if faults:
        return faults
    config = lora_config(fields)
    policy = policy_config(recipe)
    if config is None or policy is None:
        return []
    try:
        model = on_meta(policy)
    except Exception:  # said by the model's own check
        return []
    modules = [name for name, _ in model.named_modules()]
    try:
        adapted = _put_on(model, config)
    except Exception as error:
        return [_named(fields, error, modules)]
    return _overlooked(fields, modules) or _merge_faults(fields, adapted, modules)


def _merge_faults(fields: dict[str, Any], adapted: Any, modules: list[str]) -> list[str]:
    """Why the trained policy could not be saved as one plain model."""
    try:
        adapted.merge_and_unload()
    except Exception as error:
        spurious = isinstance(error, NotImplementedError) or "meta" in str(error).lower()
        return [] if spurious else [_named(fields, error, modules)]
    return []


def head_faults(recipe: Recipe, names: Sequence[str]) -> list[str]:
    """Whether the adapters go on the language-model head, whose weights these methods' trainers
    read without them."""
    config, policy = lora_config(recipe.model.lora), policy_config(recipe)
    if config is None or policy is None:
        return []
    model = on_meta(policy)
    modules = {id(module): name for name, module in model.named_modules()}
    head = modules.get(id(model.get_output_embeddings()), "the head")
    adapted = _put_on(model, config).get_base_model()
    if not isinstance(adapted.get_output_embeddings(), BaseTunerLayer):
        return []
    return [
        f"model.lora.target_modules: {head}: {name} reads the head's own weights, so an adapter on "
        "it would never train; leave it out"
        for name in names
    ]


def _put_on(model: Any, config: LoraConfig) -> Any:
    # how the new weights are drawn is no matter of shapes, and some ways read the old ones
    if config.init_lora_weights is not True:
        config.init_lora_weights = False
    with torch.random.fork_rng(), warnings.catch_warnings(action="ignore"):
        return get_peft_model(model, config)


def _field_faults(fields: dict[str, Any]) -> list[str]:
    known = [field.name for field in dataclasses.fields(LoraConfig)]
    faults = []
    for name in fields:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            near = {"rank": ["r"], "alpha": ["lora_alpha"]}.get(name, near)
            hint = f"; did you mean {near[0]}?" if near else ""
            faults.append(f"model.lora.{name}: unknown key{hint}")
    for name in ("r", "lora_alpha"):
        value = fields.get(name, 1)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or value <= 0 or (name == "r" and not isinstance(value, int)):
            faults.append(f"model.lora.{name}: {value!r}: write a number above 0")
    start = fields.get("init_lora_weights", True)
    if isinstance(start, str) and not start.startswith("pissa_niter_") and start not in _starts():
        faults.append(f"model.lora.init_lora_weights: {start!r} is none of {', '.join(_starts())}")
    return faults


def _starts() -> list[str]:
    """The words that PEFT's own annotation of the field lists."""
    words: list[str] = []
    todo: list[Any] = [typing.get_type_hints(LoraConfig)["init_lora_weights"]]
    while todo:
        part = todo.pop(0)
        words += [part] if isinstance(part, str) else []
        todo += typing.get_args(part)
    return words


def _named(fields: dict[str, Any], error: BaseException, modules: list[str]) -> str:
    """PEFT's refusal under the field that it speaks of."""
    text = first_line(error)
    lowered = text.lower()
    if "target modules" in lowered and not fields.get("layers_to_transform"):
        return f"model.lora.target_modules: {text}{_linear_names(modules)}"
    spoken = [name for name in fields if name in lowered and len(name) > 1]
    field = f".{spoken[0]}" if spoken else ""
    return f"model.lora{field}: {text or type(error).__name__}"


def _overlooked(fields: dict[str, Any], modules: list[str]) -> list[str]:
    """PEFT takes a list of names of which one is there, and says nothing of the others."""
    targets = fields.get("target_modules")
    if not isinstance(targets, list | tuple | set):
        return []
    missing = [
        name
        for name in targets
        if not any(module == name or module.endswith(f".{name}") for module in modules)
    ]
    return [
        f"model.lora.target_modules: the policy has no module {name!r}{_linear_names(modules)}"
        for name in missing
    ]


def _linear_names(modules: list[str]) -> str:
    numbered = [name for name in modules if any(part.isdigit() for part in name.split("."))]
    leaves = sorted({name.rsplit(".", 1)[-1] for name in numbered} - {""})
    leaves = [name for name in leaves if not name.isdigit()]
    return f"; it has {', '.join(leaves[:20])}" if leaves else ""
