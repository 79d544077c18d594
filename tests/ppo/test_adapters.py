"""One base, several adapters: the reference is the base to the bit, and the base never changes."""

import copy
import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForCausalLM, LoraConfig
from transformers import GPT2LMHeadModel

from rlhf_compare.models.adapters import REWARD, VALUE, AdapterBackbone, AdapterSwitch
from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.models.merging import save_merged
from rlhf_compare.models.policy import fuse_activations
from rlhf_compare.models.tiles import TokenLogits
from rlhf_compare.ppo.rollout import window
from rlhf_compare.tensors.logprobs import token_logprobs
from tests.ppo.conftest import MakeTrainer
from tests.ppo.helpers import SETTINGS, collect, history, rows, weights_hash


def lora(**fields: Any) -> LoraConfig:
    return LoraConfig(r=4, lora_alpha=8, target_modules=["c_attn"], fan_in_fan_out=True, **fields)


def base_hash(trainer: Any) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(trainer.policy.get_base_model().state_dict().items()):
        if "lora_" not in name:
            digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def test_reference_is_the_frozen_base_to_the_bit(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel
) -> None:
    frozen = copy.deepcopy(policy).eval()
    fuse_activations(frozen)  # as the trainer does with every model
    trainer = make_trainer(peft_config=lora())
    before = base_hash(trainer)
    trainer.train()
    assert base_hash(trainer) == before
    rollout = collect(trainer)
    every = torch.arange(len(rollout))
    with torch.no_grad():
        cut = window(rollout.sequences, rollout.lengths, rollout.predicted, every)
        expected = token_logprobs(TokenLogits(frozen)(cut.sequences, cut.predicted), cut.tokens)
        reference = trainer.collector.reference
        got = token_logprobs(reference(cut.sequences, cut.predicted), cut.tokens)
    assert torch.equal(got, expected)
    assert not torch.equal(rollout.logprobs, rollout.ref_logprobs)


def test_first_step_has_not_moved_and_later_ones_have(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer({"num_ppo_epochs": 1, "num_mini_batches": 1}, peft_config=lora())
    trainer.train()
    first, second = rows(trainer)[:2]
    assert first["val/ratio"] == 1.0 and first["objective/kl_exact"] == 0.0
    assert second["objective/kl_exact"] > 0.0


def test_policy_and_value_adapters_both_train_in_one_backward(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(peft_config=lora())
    adapters = trainer.adapters
    before = [p.clone() for p in adapters.parameters_of("policy") + adapters.parameters_of(VALUE)]
    trainer.train()
    after = adapters.parameters_of("policy") + adapters.parameters_of(VALUE)
    moved = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert len(moved) == 8 and all(moved)
    trained = {id(p) for group in trainer.optimizer.param_groups for p in group["params"]}
    assert len(trained) == len(moved) + 1  # and the value head; nothing of the base


def test_reward_adapter_on_the_same_base_starts_the_critic_and_never_trains(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel, tmp_path: Path
) -> None:
    adapters = AdapterSwitch.on(policy, lora())
    adapters.add(REWARD, lora())
    torch.manual_seed(3)
    for parameter in adapters.parameters_of(REWARD):
        torch.nn.init.normal_(parameter, std=0.1)
        parameter.requires_grad_(False)
    reward = ScalarHeadModel(AdapterBackbone(adapters, REWARD), init_std=1.0)
    trainer = make_trainer(model=adapters.model, reward_model=reward)
    value = [p.clone() for p in trainer.adapters.parameters_of(VALUE)]
    assert all(
        torch.equal(a, b) for a, b in zip(value, adapters.parameters_of(REWARD), strict=True)
    )
    before = [p.clone() for p in adapters.parameters_of(REWARD)] + [reward.head.weight.clone()]
    scores = collect(trainer).scores
    trainer.train()
    after = [*adapters.parameters_of(REWARD), reward.head.weight]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert scores.std() > 0

    reward.save_pretrained(tmp_path / "reward")
    other = AdapterSwitch.on(_plain(policy), lora())
    other.load(REWARD, tmp_path / "reward" / REWARD)
    again = ScalarHeadModel(AdapterBackbone(other, REWARD), init_std=0.0)
    again.load_head(tmp_path / "reward")
    ids = torch.tensor([[50, 51, 52]])
    mask = torch.ones_like(ids).bool()
    with torch.no_grad():
        assert torch.equal(again.scores(ids, mask), reward.scores(ids, mask))


def _plain(policy: GPT2LMHeadModel) -> GPT2LMHeadModel:
    """The base without adapters, as it would be loaded from disk."""
    plain = GPT2LMHeadModel(policy.config)
    state = {
        name.replace(".base_layer", ""): value
        for name, value in policy.state_dict().items()
        if "lora_" not in name
    }
    plain.load_state_dict(state)
    return plain


def test_resumed_run_with_adapters_is_the_same_run(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel, tmp_path: Path
) -> None:
    start = copy.deepcopy(policy)
    settings = {**SETTINGS, "reference_ema": None, "output_dir": str(tmp_path / "straight")}
    straight = make_trainer(settings, peft_config=lora())
    straight.train()
    resumed = make_trainer(settings, peft_config=lora(), model=start)
    resumed.train(resume_from_checkpoint=str(tmp_path / "straight" / "checkpoint-2"))
    assert weights_hash(resumed.model) == weights_hash(straight.model)
    assert history(resumed) == history(straight)


@pytest.mark.parametrize(
    "fields", [{"bias": "all"}, {"modules_to_save": ["ln_f"]}, {"init_lora_weights": "pissa"}]
)
def test_what_would_stay_with_the_adapter_off_is_refused(
    make_trainer: MakeTrainer, fields: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(fields))}: must be"):
        make_trainer(peft_config=lora(**fields))


def test_every_adapter_weight_of_policy_and_critic_trains(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel
) -> None:
    """Embeddings, whose matrices PEFT names otherwise, and DoRA's vectors of sizes."""
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["c_attn", "wte"], use_dora=True)
    trainer = make_trainer(peft_config=config)
    adapters = trainer.adapters
    found = {name: adapters.parameters_of(name) for name in ("policy", VALUE)}
    before = {name: [p.clone() for p in weights] for name, weights in found.items()}
    trainer.train()
    for name, weights in found.items():
        moved = [not torch.equal(a, b) for a, b in zip(before[name], weights, strict=True)]
        assert len(moved) == 3 * (2 + 1) and all(moved), name


def test_critic_copies_a_reward_adapter_of_other_targets(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel
) -> None:
    adapters = AdapterSwitch.on(policy, lora())
    adapters.add(REWARD, LoraConfig(r=2, target_modules=["wte", "c_proj"]))
    torch.manual_seed(3)
    for parameter in adapters.parameters_of(REWARD):
        torch.nn.init.normal_(parameter, std=0.1)
    reward = ScalarHeadModel(AdapterBackbone(adapters, REWARD), init_std=1.0)
    trainer = make_trainer(model=adapters.model, reward_model=reward)
    ids, mask = torch.tensor([[50, 51, 52]]), torch.ones(1, 3).bool()
    with torch.no_grad():
        assert torch.equal(trainer.value_model.scores(ids, mask), reward.scores(ids, mask))


@pytest.mark.parametrize("adapters", [False, True])
@pytest.mark.parametrize("trunk", ["separate", "shared"])
def test_checkpointed_activations_change_no_weight(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel, adapters: bool, trunk: str
) -> None:
    """To the bit: the second forward of a layer is made under the adapter of the first."""
    given: dict[str, Any] = {"peft_config": lora()} if adapters else {}
    hashes = []
    for on in (False, True):
        torch.manual_seed(7)
        settings = {"gradient_checkpointing": on, "value_trunk": trunk}
        trainer = make_trainer(settings, model=copy.deepcopy(policy), **given)
        layers = [m for m in trainer.model.modules() if hasattr(m, "gradient_checkpointing")]
        trainer.train()
        assert any(layer.gradient_checkpointing for layer in layers) is on
        hashes.append(weights_hash(trainer.model))
    assert hashes[0] == hashes[1]
    assert rows(trainer)[0]["objective/kl"] == 0.0


def test_checkpointing_runs_layers_again(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel
) -> None:
    calls: list[str | None] = []
    trainer = make_trainer({"gradient_checkpointing": True, "max_steps": 1}, peft_config=lora())
    adapters = trainer.adapters
    block = policy.transformer.h[0].attn
    block.register_forward_hook(
        lambda *_: calls.append(adapters._active) if torch.is_grad_enabled() else None
    )
    trainer.train()
    # 4 optimizer steps of one micro-batch: each layer twice under either adapter
    assert calls.count("policy") == calls.count(VALUE) == 8


@pytest.mark.parametrize("targets", [["lm_head"], ["wte"], ["lm_head", "wte", "c_attn"]], ids=str)
def test_saved_policy_of_a_tied_model_is_the_trained_one(
    make_trainer: MakeTrainer, tmp_path: Path, targets: list[str]
) -> None:
    config = LoraConfig(r=4, lora_alpha=8, target_modules=targets)
    trainer = make_trainer({"learning_rate": 0.05}, peft_config=config)
    trainer.train()
    assert rows(trainer)[-1]["objective/kl_exact"] > 1e-3
    ids = torch.tensor([[40, 41, 42, 43]])
    with torch.no_grad():
        trained = trainer.policy.eval()(ids).logits
    save_merged(trainer.policy, tmp_path / "model")
    again = GPT2LMHeadModel.from_pretrained(tmp_path / "model").eval()
    with torch.no_grad():
        torch.testing.assert_close(again(ids).logits, trained, rtol=0, atol=1e-5)


def test_adapter_of_a_checkpoint_loads_in_peft_also_after_resume(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel, tmp_path: Path
) -> None:
    policy.save_pretrained(tmp_path / "base")
    settings = {"save_strategy": "steps", "save_steps": 1, "output_dir": str(tmp_path / "run")}

    def fresh() -> Any:
        model = GPT2LMHeadModel.from_pretrained(tmp_path / "base")
        return make_trainer(settings, model=model, peft_config=lora())

    fresh().train()
    resumed = fresh()
    resumed.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-1"))
    resumed.save_model(str(tmp_path / "out"))
    ids = torch.tensor([[40, 41, 42]])
    with torch.no_grad():
        trained = resumed.policy.eval()(ids).logits
    for directory in (tmp_path / "out", tmp_path / "run" / "checkpoint-3"):
        again = AutoPeftModelForCausalLM.from_pretrained(directory).eval()
        with torch.no_grad():
            torch.testing.assert_close(again(ids).logits, trained, rtol=0, atol=1e-5)
