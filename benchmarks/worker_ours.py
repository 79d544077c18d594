"""One run of our PPOTrainer: settings and inputs in, JSON out."""

import json
import sys
from pathlib import Path
from typing import Any

import torch
import transformers
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoTokenizer, GPT2ForSequenceClassification, GPT2LMHeadModel

from benchmarks.memory import resident_bytes, resident_peak
from benchmarks.probe import NamedPhases, Probe
from benchmarks.roofline import gemm_rates
from benchmarks.settings import LORA, LORA_ONE_BASE, OURS, SHAPES, Settings, trainer_arguments
from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.ppo.config import PPOConfig
from rlhf_compare.ppo.trainer import PPOTrainer

_LORA = {
    "r": 16,
    "lora_alpha": 32,
    "target_modules": ["c_attn", "c_proj", "c_fc"],
    "fan_in_fan_out": True,  # GPT-2 keeps its weights transposed
    "task_type": "CAUSAL_LM",
}


def load_models(system: str, inputs: Path) -> dict[str, Any]:
    """The trainer's model arguments: four models, two (LoRA), or one (LoRA, one base)."""
    policy = GPT2LMHeadModel.from_pretrained(inputs / "policy")
    if system == LORA_ONE_BASE:
        return _one_base(policy)
    reward = ScalarHeadModel.from_classifier(_classifier(inputs))
    if system == LORA:
        return {"model": policy, "reward_model": reward, "peft_config": LoraConfig(**_LORA)}
    return {
        "model": policy,
        "ref_model": GPT2LMHeadModel.from_pretrained(inputs / "policy"),
        "reward_model": reward,
        "value_model": ScalarHeadModel.from_classifier(_classifier(inputs)),
    }


def _one_base(policy: Any) -> dict[str, Any]:
    """Policy, value and reward as adapters on one base, and the base itself the reference."""
    from rlhf_compare.models.adapters import REWARD, AdapterBackbone, AdapterSwitch

    config = LoraConfig(**_LORA)
    adapters = AdapterSwitch.on(policy, config)
    adapters.add(REWARD, config)
    reward = ScalarHeadModel(AdapterBackbone(adapters, REWARD))
    for parameter in adapters.parameters_of(REWARD):
        parameter.requires_grad_(False)
    return {"model": adapters.model, "reward_model": reward}


def _classifier(inputs: Path) -> Any:
    return GPT2ForSequenceClassification.from_pretrained(inputs / "classifier")


def run(system: str, settings: Settings, inputs: Path, scratch: str) -> dict[str, Any]:
    """Train and tell."""
    torch.set_num_threads(settings.threads)
    imported = resident_bytes()
    tokenizer = AutoTokenizer.from_pretrained(inputs / "tokenizer", padding_side="left")
    models = load_models(system, inputs)
    prompts = json.loads((inputs / "prompts.json").read_text(encoding="utf-8"))
    loaded = resident_bytes()

    meter = NamedPhases()
    probe = Probe(meter, lambda: meter.tokens["generated"])
    probe.watch_optimizer()
    trainer = PPOTrainer(
        args=PPOConfig(**trainer_arguments(settings, scratch)),
        processing_class=tokenizer,
        train_dataset=Dataset.from_dict({"input_ids": prompts}),
        callbacks=[probe],
        meter=meter,
        **models,
    )
    if system == OURS:
        _watch_models(probe, models)
    with resident_peak() as peak:
        trainer.train()
    result = probe.result(settings.warmup) | {
        "memory": {"imported": imported, "loaded": loaded, "peak": peak.peak},
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }
    if settings.gemm:
        result["gemm"] = gemm_rates(SHAPES[settings.shape])
    return result


def _watch_models(probe: Probe, models: dict[str, Any]) -> None:
    for role in ("model", "ref_model"):
        lm = models[role]
        probe.watch_model("policy" if role == "model" else "reference", lm.transformer, lm.lm_head)
    probe.watch_model("reward", models["reward_model"].backbone)
    probe.watch_model("value", models["value_model"].backbone)


if __name__ == "__main__":
    name, settings_file, inputs_directory, scratch_directory, result_file = sys.argv[1:]
    outcome = run(name, Settings.read(settings_file), Path(inputs_directory), scratch_directory)
    Path(result_file).write_text(json.dumps(outcome), encoding="utf-8")
