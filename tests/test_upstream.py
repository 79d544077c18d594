"""Private names of libraries that the package uses: an upgrade that moves one fails here, by name.

Libraries may rename what begins with an underscore in any release. Each such name stands in _USED
with the parameters that we rely on; `test_no_private_name_is_used_unlisted` finds new ones.
"""

import ast
import importlib
import inspect
import pkgutil
from dataclasses import dataclass
from typing import Any

import pytest
from torch import nn

from tests import private_names
from tests.private_names import LIBRARIES, names_of, our_classes, private_uses, trees


@dataclass(frozen=True)
class Use:
    """One private name of a library.

    owner       where it is defined: ``module:Class``, or a module
    name        the private name
    parameters  of a function, in order, without self; None = no function, but a value
    files       of ours that use it
    """

    owner: str
    name: str
    parameters: str | None
    files: tuple[str, ...]


_TRAINER = "transformers.trainer:Trainer"
_SFT = "trl.trainer.sft_trainer:SFTTrainer"
_REWARD = "trl.trainer.reward_trainer:RewardTrainer"
_DPO = "trl.trainer.dpo_trainer:DPOTrainer"
_GRPO = "trl.trainer.grpo_trainer:GRPOTrainer"
_MODEL = "transformers.modeling_utils:PreTrainedModel"
_LAYER = "peft.tuners.tuners_utils:BaseTunerLayer"
_MODULE = "torch.nn:Module"

_ADAPTERS, _FIT = ("models/adapters.py",), ("models/fit.py",)
_RESUMABLE, _RESUMING = ("runs/resumable.py",), ("runs/resuming.py",)
_ITERATION, _STAGE = ("ppo/iteration.py",), ("runs/trainer.py",)
_GRPO_FILE = ("grpo/trainer.py",)
_DPO_FILE, _REWARD_FILE, _SFT_FILE = (
    ("dpo/trainer.py",),
    ("reward/trainer.py",),
    ("runs/imitation.py",),
)

_LOG_STEP = "tr_loss grad_norm model trial epoch ignore_keys_for_eval start_time learning_rate"
_USED = [
    # transformers' Trainer: batches
    Use(
        _TRAINER,
        "_get_dataloader",
        "dataset description batch_size sampler_fn is_training dataloader_key",
        _ITERATION,
    ),
    Use(_TRAINER, "_get_train_sampler", "train_dataset", (*_ITERATION, *_STAGE)),
    Use(_TRAINER, "_get_num_items_in_batch", "batch_samples device", _REWARD_FILE),
    Use(_TRAINER, "_prepare_inputs", "inputs", ("ppo/sampling.py", "ppo/trainer.py")),
    Use(_TRAINER, "_set_signature_columns_if_needed", "", _ITERATION),
    Use(_TRAINER, "_signature_columns", None, _ITERATION),
    # the loop: sums of the loss, logging, what ends it
    Use(_TRAINER, "_tr_loss", None, _RESUMABLE),
    Use(_TRAINER, "_total_loss_scalar", None, _RESUMABLE),
    Use(_TRAINER, "_initial_global_step", None, _RESUMABLE),
    Use(_TRAINER, "_maybe_log_save_evaluate", _LOG_STEP, _RESUMABLE),
    Use(_TRAINER, "_finalize_training", "trial num_train_samples start_time", _RESUMABLE),
    Use(_TRAINER, "_get_grad_norm", "model grad_norm", _STAGE),
    # checkpoints
    Use(_TRAINER, "_save_checkpoint", "model trial", _STAGE),
    Use(_TRAINER, "_save", "output_dir state_dict", (*_REWARD_FILE, "ppo/trainer.py")),
    Use(
        _TRAINER,
        "_load_from_checkpoint",
        "resume_from_checkpoint model",
        ("ppo/trainer.py", *_RESUMABLE),
    ),
    Use(_TRAINER, "_load_rng_state", "checkpoint", _RESUMABLE),
    Use(_TRAINER, "_save_optimizer_and_scheduler", "output_dir", _RESUMING),
    Use(_TRAINER, "_save_rng_state", "output_dir", _RESUMING),
    Use(_TRAINER, "_save_scaler", "output_dir", _RESUMING),
    # TRL's trainers
    Use(_SFT, "_total_train_tokens", None, _SFT_FILE),
    Use(_SFT, "_metrics", None, _RESUMABLE),
    Use(_REWARD, "_total_train_tokens", None, _REWARD_FILE),
    Use(_REWARD, "_metrics", None, (*_REWARD_FILE, *_RESUMABLE)),
    Use(_REWARD, "_prepare_dataset", "dataset processing_class args dataset_name", _REWARD_FILE),
    Use(_REWARD, "_set_signature_columns_if_needed", "", _REWARD_FILE),
    Use(_REWARD, "_signature_columns", None, _REWARD_FILE),
    Use(_DPO, "_metrics", None, (*_DPO_FILE, *_RESUMABLE)),
    Use(_DPO, "_compute_loss", "model inputs return_outputs", _DPO_FILE),
    Use(
        _DPO,
        "_precompute_ref_logps",
        "dataset name batch_size",
        (*_DPO_FILE, "dpo/trial.py"),
    ),
    Use(_DPO, "_prepare_dataset", "dataset processing_class args dataset_name", _DPO_FILE),
    Use(_DPO, "_set_signature_columns_if_needed", "", _DPO_FILE),
    Use(_DPO, "_signature_columns", None, _DPO_FILE),
    Use(_GRPO, "_buffered_inputs", None, _GRPO_FILE),
    Use(_GRPO, "_calculate_rewards", "inputs prompts completions completion_ids_list", _GRPO_FILE),
    Use(_GRPO, "_compute_loss", "model inputs", _GRPO_FILE),
    Use(
        _GRPO,
        "_generate_single_turn",
        "prompt_ids images multimodal_fields num_generations has_tool_images",
        _GRPO_FILE,
    ),
    Use(
        _GRPO,
        "_get_per_token_logps_and_entropies",
        "model input_ids attention_mask logits_to_keep batch_size compute_entropy "
        "compute_aux_loss pixel_values image_grid_thw num_images pixel_attention_mask "
        "spatial_shapes num_tiles image_sizes token_type_ids mm_token_type_ids "
        "image_position_ids",
        _GRPO_FILE,
    ),
    Use(_GRPO, "_get_train_sampler", "dataset", _GRPO_FILE),
    Use(_GRPO, "_last_world_entropy", None, _GRPO_FILE),
    Use(_GRPO, "_step", None, _GRPO_FILE),
    Use(_GRPO, "_tokenize_prompts", "prompts", _GRPO_FILE),
    Use("trl.kernels.chunked_logprob", "_use_triton", "device", ("dpo/forward.py",)),
    # transformers' models and configurations
    Use(
        _MODEL,
        "_set_gradient_checkpointing",
        "enable gradient_checkpointing_func every_n_layers",
        (*_ADAPTERS, "ppo/models.py"),
    ),
    Use(_MODEL, "_init_weights", "module", _FIT),
    Use(
        "transformers.configuration_utils:PreTrainedConfig",
        "_get_generation_parameters",
        "",
        _FIT,
    ),
    # PEFT's layers
    Use(_LAYER, "_active_adapter", None, _ADAPTERS),
    Use(_LAYER, "_disable_adapters", None, _ADAPTERS),
    Use(_LAYER, "_freeze_non_trainable_peft_weights", "adapter_names", _ADAPTERS),
    # torch's modules
    Use(_MODULE, "_parameters", None, ("models/merging.py",)),
    Use(_MODULE, "_modules", None, ("models/heads.py",)),
    Use(_MODULE, "_buffers", None, _FIT),
    Use(_MODULE, "_non_persistent_buffers_set", None, _FIT),
]


def _parameters(function: Any) -> str:
    return " ".join(name for name in inspect.signature(function).parameters if name != "self")


@pytest.mark.parametrize("use", _USED, ids=lambda use: f"{use.owner.split(':')[-1]}.{use.name}")
def test_a_private_name_is_as_we_rely_on_it(use: Use) -> None:
    owner = pkgutil.resolve_name(use.owner)
    if use.parameters is None:
        known = {name for base in owner.__mro__ for name in names_of(base)}
        assert use.name in known, f"{use.owner} no longer sets {use.name}: see {use.files}"
    else:
        assert hasattr(owner, use.name), f"{use.owner} has no {use.name} any more: see {use.files}"
        assert _parameters(getattr(owner, use.name)) == use.parameters, f"mend {use.files}"


def test_no_private_name_is_used_unlisted() -> None:
    listed = {(use.name, file) for use in _USED for file in use.files}
    unlisted = sorted(private_uses() - listed)
    assert not unlisted, f"private names of a library; add them to _USED in {__file__}: {unlisted}"
    assert not listed - private_uses(), "listed, but used no more; take them out of _USED"


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("model._fresh_name", {"_fresh_name"}),
        ('getattr(model, "_fresh_name", None)', {"_fresh_name"}),
        ("def f(t):\n  t._fresh_name = 1", {"_fresh_name"}),
        ("from trl.kernels import _fresh_name", {"_fresh_name"}),
        ("from trl._fresh import name", {"name"}),
        ("import trl._fresh_name", {"_fresh_name"}),
        ("from rlhf_compare.x import _y", set()),
        ("class A:\n  def _ours(self):\n    return self._ours", set()),
        ("x.__class__", set()),
    ],
)
def test_the_search_finds_each_form(
    monkeypatch: pytest.MonkeyPatch, source: str, names: set[str]
) -> None:
    monkeypatch.setattr(private_names, "trees", lambda: {"new.py": ast.parse(source)})
    monkeypatch.setattr(private_names, "our_classes", dict)
    assert private_uses() == {(name, "new.py") for name in names}


def _library_imports() -> list[tuple[str, str, str]]:
    return sorted(
        {
            (node.module, alias.name, file)
            for file, tree in trees().items()
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in LIBRARIES
            for alias in node.names
            if node.module is not None
        }
    )


def test_every_name_imported_from_a_library_is_there() -> None:
    """Those that are imported inside a function too, which no import of the package would try."""
    imports = _library_imports()
    assert len(imports) > 50
    for module, name, file in imports:
        found = importlib.import_module(module)
        assert hasattr(found, name) or importlib.import_module(f"{module}.{name}"), file


def _not_taken(ours: Any, theirs: Any) -> list[str]:
    given = inspect.signature(ours).parameters
    kinds = {parameter.kind for parameter in given.values()}
    if kinds & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}:
        return []
    return [name for name in inspect.signature(theirs).parameters if name not in given]


def test_what_overrides_a_method_takes_what_the_library_passes() -> None:
    pairs = [
        (f"{cls.__name__}.{name}", vars(cls)[name], vars(base)[name])
        for cls, above in our_classes().items()
        for base in above - {nn.Module}  # whose forward is a placeholder
        for name in vars(cls).keys() & vars(base).keys()
        if not name.startswith("__")
        and inspect.isfunction(vars(cls)[name])
        and inspect.isfunction(vars(base)[name])
    ]
    assert len(pairs) > 30
    faults = {
        name: missing for name, ours, theirs in pairs if (missing := _not_taken(ours, theirs))
    }
    assert not faults
