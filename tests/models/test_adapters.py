"""Adapters come off and go on: whatever a configuration does to the base is found by trying, and a
merged policy is the trained one."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import (
    AutoPeftModelForCausalLM,
    IA3Config,
    LoHaConfig,
    LoraConfig,
    PrefixTuningConfig,
    PromptTuningConfig,
    get_peft_model,
)
from transformers import AutoConfig, AutoModelForCausalLM

from rlhf_compare.errors import RecipeError, StageFailedError
from rlhf_compare.models import merging
from rlhf_compare.models.adapters import AdapterSwitch, lora_config, lora_fault
from rlhf_compare.models.merging import save_merged, write_adapter

WORDS = 40
IDS = torch.arange(12).view(2, 6)


def tied(kind: str = "llama", **fields: Any) -> Any:
    torch.manual_seed(0)
    sizes = {
        "vocab_size": WORDS, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 64,
        "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.3, "tie_word_embeddings": True,
    }  # fmt: skip
    if kind == "gpt2":
        sizes = {
            "vocab_size": WORDS, "n_layer": 2, "n_head": 2, "n_embd": 16, "n_positions": 64,
            "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.3,
        }  # fmt: skip
    if kind.startswith("gemma"):
        sizes["head_dim"] = 8
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **sizes, **fields)).eval()


def lora(*targets: str, **fields: Any) -> LoraConfig:
    return LoraConfig(r=4, lora_alpha=8, target_modules=list(targets) or ["q_proj"], **fields)


def move(adapters: AdapterSwitch, name: str) -> None:
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in adapters.parameters_of(name):
            parameter.normal_(std=0.2)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = model(IDS).logits.float()
    return result


# --- what cannot be taken off


MOVES_THE_BASE: list[dict[str, Any]] = [
    {"init_lora_weights": "pissa"},
    {"init_lora_weights": "pissa_niter_4"},
    {"init_lora_weights": "olora"},
    {"init_lora_weights": "corda"},
    {"init_lora_weights": False},
    {"layer_replication": [[0, 1], [0, 2]]},
    {"bias": "all"},
    {"bias": "lora_only"},
    {"modules_to_save": ["norm"]},
    {"trainable_token_indices": [3]},
    {"alora_invocation_tokens": [3]},
]
LEAVES_THE_BASE: list[dict[str, Any]] = [
    {},
    {"init_lora_weights": "gaussian"},
    {"init_lora_weights": "orthogonal"},
    {"use_dora": True},
    {"use_rslora": True},
    {"lora_dropout": 0.05},
    {"rank_pattern": {"q_proj": 2}},
    {"r": 40},
]


@pytest.mark.parametrize("fields", MOVES_THE_BASE, ids=str)
def test_what_changes_the_base_is_known_before_there_is_a_model(fields: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=rf"^model\.lora\.{next(iter(fields))}: must be ") as info:
        lora_config({"r": 4, **fields})
    assert "\n" not in str(info.value)
    with pytest.raises(ValueError, match=next(iter(fields))):
        AdapterSwitch.on(tied(), lora(**fields))


@pytest.mark.parametrize("fields", LEAVES_THE_BASE, ids=str)
def test_what_leaves_the_base_alone_is_taken(fields: dict[str, Any]) -> None:
    state = torch.random.get_rng_state()
    assert lora_config({"r": 4, **fields}) is not None
    assert torch.equal(torch.random.get_rng_state(), state)
    base = tied()
    before = logits(base)
    adapters = AdapterSwitch.on(
        base, LoraConfig(**{"r": 4, "target_modules": ["q_proj"], **fields})
    )
    torch.testing.assert_close(logits(base), before, rtol=0, atol=1e-5)
    move(adapters, "policy")
    with adapters.active(None):
        assert torch.equal(logits(base), before)
    assert not torch.allclose(logits(base), before, atol=1e-3)


@pytest.mark.parametrize(
    "config",
    [
        PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM"),
        PrefixTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM"),
        IA3Config(target_modules=["q_proj"], feedforward_modules=[]),
        LoHaConfig(target_modules=["q_proj"]),
    ],
    ids=lambda config: type(config).__name__,
)
def test_other_kinds_of_adapter_are_refused_by_their_type(config: Any) -> None:
    assert "peft.LoraConfig" in (lora_fault(config) or "")
    with pytest.raises(TypeError, match=type(config).__name__):
        AdapterSwitch.on(tied(), config)


def test_trying_changes_neither_weights_nor_modes_nor_random_numbers() -> None:
    a, b = tied(), tied()
    a.train(), b.train()
    torch.manual_seed(5)
    adapters = AdapterSwitch.on(a, lora())
    after = torch.rand(1)
    torch.manual_seed(5)
    plain = get_peft_model(b, lora(), adapter_name="policy")
    assert torch.equal(after, torch.rand(1))
    for x, y in zip(adapters.model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(x, y) and x.requires_grad == y.requires_grad
    assert all(module.training for module in adapters.model.modules())


def test_adapter_that_moves_the_shared_base_is_refused_when_it_is_added(tmp_path: Path) -> None:
    moved = get_peft_model(tied(), lora(init_lora_weights="olora"), adapter_name="other")
    moved.save_pretrained(tmp_path)
    adapters = AdapterSwitch.on(tied(), lora())
    with pytest.raises(ValueError, match=r"adapter other|init_lora_weights"):
        adapters.load("other", tmp_path / "other")


# --- whose weights are whose


@pytest.mark.parametrize("fields", [{}, {"use_dora": True}], ids=str)
def test_every_weight_of_an_adapter_is_found(fields: dict[str, Any]) -> None:
    """Of queries and embeddings: two matrices each, and with DoRA a vector of sizes each."""
    adapters = AdapterSwitch.on(tied(), lora("q_proj", "embed_tokens", **fields))
    adapters.add("value", lora("q_proj", "embed_tokens", **fields))
    each = (3 if fields else 2) * (2 + 1)
    for name in ("policy", "value"):
        found = adapters.parameters_of(name)
        assert len(found) == each and all(p.requires_grad for p in found)
    assert not {map(id, adapters.parameters_of("policy"))} & {
        map(id, adapters.parameters_of("value"))
    }


# --- folded in


TARGETS = {
    "head": ["lm_head"],
    "embedding": ["EMBEDDING"],
    "both": ["lm_head", "EMBEDDING"],
    "all-linear": "all-linear",
}


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("kind", ["gpt2", "llama", "qwen2", "gemma"])
def test_merged_policy_of_a_tied_model_is_the_trained_one(
    kind: str, targets: str, tmp_path: Path
) -> None:
    chosen: Any = TARGETS[targets]
    if isinstance(chosen, list):
        embedding = "wte" if kind == "gpt2" else "embed_tokens"
        chosen = [embedding if name == "EMBEDDING" else name for name in chosen]
    adapters = AdapterSwitch.on(tied(kind), LoraConfig(r=4, lora_alpha=8, target_modules=chosen))
    base = logits(adapters.model)
    move(adapters, "policy")
    trained = logits(adapters.model)
    save_merged(adapters.model, tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    torch.testing.assert_close(logits(again), trained, rtol=0, atol=1e-5)
    assert float((trained - base).abs().max()) > 0.1
    assert again.config.tie_word_embeddings is (targets == "all-linear")


@pytest.mark.parametrize("targets", [["lm_head"], ["embed_tokens"], ["q_proj"]], ids=str)
def test_merged_policy_in_bf16_differs_by_rounding_alone(
    targets: list[str], tmp_path: Path
) -> None:
    adapters = AdapterSwitch.on(tied().bfloat16(), lora(*targets))
    move(adapters, "policy")
    trained = logits(adapters.model)
    save_merged(adapters.model, tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path, dtype="auto")
    # bf16 keeps 8 bits: one part in 128 of the largest logit, a few times over
    bound = 4 / 128 * float(trained.abs().max())
    torch.testing.assert_close(logits(again), trained, rtol=0, atol=bound)


def test_a_merge_that_changes_the_policy_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "untie", lambda model: None)
    adapters = AdapterSwitch.on(tied(), lora("lm_head"))
    move(adapters, "policy")
    with pytest.raises(StageFailedError, match="differs from the trained one by"):
        save_merged(adapters.model, tmp_path)
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize("name", ["policy", "default"])
def test_adapter_alone_lies_where_peft_looks(name: str, tmp_path: Path) -> None:
    base = tied()
    base.save_pretrained(tmp_path / "base")
    adapters = AdapterSwitch.on(
        AutoModelForCausalLM.from_pretrained(tmp_path / "base"), lora(), name
    )
    move(adapters, name)
    write_adapter(adapters.model, name, tmp_path / "out")
    again = AutoPeftModelForCausalLM.from_pretrained(tmp_path / "out")
    assert torch.equal(logits(again), logits(adapters.model))
