"""What the outcome of each stage depends on, as JSON: a stage runs again when its hash changes.

Sections of the recipe, the hashes of the stages before, and the content, not the name, of every
model that is read from a path.
"""

from typing import Any

from rlhf_compare.data.sources import fingerprint
from rlhf_compare.models.tokenizer import tokenizer_fingerprint
from rlhf_compare.models.wheels import WHEELS
from rlhf_compare.recipe import Recipe
from rlhf_compare.runs.fingerprints import by_content, hub_commit


def data_inputs(recipe: Recipe) -> dict[str, Any]:
    # neither changes a prepared row: how many processes, and what DPO takes of K responses
    rows = recipe.data.model_dump(mode="json", exclude={"num_proc", "pairs"})
    sources = [source for source in recipe.data.all_sources if source.hub_id]
    commits = [hub_commit(str(one.hub_id), one.revision, "dataset") for one in sources]
    # of the model the tokenizer alone
    tokenizer = start_of(recipe, "dtype", "path")
    return {
        **_sections(recipe, "task"),
        "data": rows,
        "questions": list(recipe.evaluation.questions),
        "tokenizer": {**tokenizer, "files": tokenizer_fingerprint(recipe.model)},
        "source": fingerprint(recipe.data),
        **({"commits": commits} if commits else {}),
    }


def sft_inputs(recipe: Recipe, data_hash: str) -> dict[str, Any]:
    section = by_content(_sections(recipe, "sft"))
    return {**section, "model": start_of(recipe), "data": data_hash}


def reward_inputs(recipe: Recipe, before: dict[str, str]) -> dict[str, Any]:
    """``before``: the hash of SFT, or of the data where the model does not start from SFT's."""
    section = _sections(recipe, "reward")["reward"]
    # permission to go on is no part of what the model is
    given = by_content({k: v for k, v in section.items() if k != "accept_failed_doctor"})
    inputs = {"reward": given, **_sections(recipe, "task"), **before}
    if "sft" in before:
        return {**inputs, "lora": by_content(recipe.model.lora)}
    backbone = section["backbone"]
    if isinstance(backbone, str) and given["backbone"] == backbone:  # no folder of that name
        inputs["commit"] = hub_commit(backbone, None)
    return inputs


def method_inputs(recipe: Recipe, name: str, before: dict[str, str]) -> dict[str, Any]:
    """Of a method or a variant of one."""
    method, section = recipe.method(name), recipe.section(name)
    # a checkpoint may be chosen by what the probe sees
    probe = {"during_training", "probe_prompts", "max_new_tokens", "batch_size"}
    return {
        method.name: by_content(section.model_dump(mode="json", exclude_unset=True)),
        **({"pairs": recipe.data.pairs} if method.feed == "rankings" else {}),
        "lora": by_content(recipe.model.lora),
        **before,
        "probe": recipe.evaluation.model_dump(mode="json", include=probe),
    }


def evaluation_inputs(recipe: Recipe, policy: str, rewards: dict[str, str]) -> dict[str, Any]:
    """``rewards``: the hashes of the reward models that are asked."""
    sections = _sections(recipe, "evaluation", "task")
    # the endpoint is asked in stages of its own
    measured = {k: v for k, v in sections["evaluation"].items() if not k.startswith("judge_")}
    return {**sections, "evaluation": measured, "policy": policy, "reward": rewards}


def judge_inputs(recipe: Recipe, measured: dict[str, str]) -> dict[str, Any]:
    """``measured``: by method, the hash of the evaluation whose answers are compared. How the key
    is found is no part of what is said."""
    wanted = {"judge_url", "judge_model", "judge_prompts"}
    return {"judge": recipe.evaluation.model_dump(mode="json", include=wanted), **measured}


def start_of(recipe: Recipe, *without: str) -> dict[str, Any]:
    """The model that SFT starts from; how later stages train it is no matter of SFT's."""
    values = recipe.model.model_dump(mode="json", exclude={"lora", *without})
    wheel = values.pop("wheel")
    if wheel is not None and "path" not in without:  # the same file has the same hash anywhere
        values["path"] = {"content": WHEELS[wheel].sha256}
    values |= {name: by_content(values[name]) for name in ("path", "hub_id") if name in values}
    if isinstance(values["hub_id"], str):
        values["commit"] = hub_commit(values["hub_id"], recipe.model.revision)
    return values


def _sections(recipe: Recipe, *names: str) -> dict[str, Any]:
    resolved = recipe.resolved()
    return {name: resolved[name] for name in names}
