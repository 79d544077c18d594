"""What both sides of a benchmark are given, and what is expected of them. Standard library alone:
the other side's environment reads it too."""

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OURS, TRL, LORA, LORA_ONE_BASE = "ours", "trl", "lora", "lora_one_base"
NAMES = {
    OURS: "ours",
    TRL: "TRL 1.12",
    LORA: "ours, LoRA, reward model whole",
    LORA_ONE_BASE: "ours, LoRA, reward also an adapter",
}


@dataclass(frozen=True)
class Shape:
    """A GPT-2: layers, width of the residual stream, vocabulary, attention heads, positions."""

    layers: int
    width: int
    vocabulary: int
    heads: int
    positions: int = 192


SHAPES = {
    "tiny": Shape(layers=2, width=128, vocabulary=2048, heads=4),  # recipes/tiny.yaml
    "small": Shape(layers=6, width=384, vocabulary=8192, heads=6),
    "gpt2": Shape(layers=12, width=768, vocabulary=50257, heads=12, positions=1024),
}


@dataclass(frozen=True)
class Settings:
    """One worker's task; travels to it as JSON."""

    shape: str = "tiny"
    responses: str = "spread"  # "spread" = they end as a trained model's do; "full" = never EOS
    iterations: int = 6
    warmup: int = 1  # iterations before the measured ones
    episodes: int = 64  # per iteration
    epochs: int = 2
    mini_batches: int = 2
    response_length: int = 48  # new tokens at most
    temperature: float = 1.0
    learning_rate: float = 1e-5  # small: responses keep their length while they are measured
    threads: int = 1
    seed: int = 0
    gemm: bool = False  # measure the machine's matrix peak afterwards

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def read(cls, path: str | Path) -> "Settings":
        return cls(**json.loads(Path(path).read_text(encoding="utf-8")))


def trainer_arguments(settings: Settings, output_dir: str) -> dict[str, Any]:
    """The fields of both ``PPOConfig`` classes: one dictionary, so that none can differ."""
    return {
        "output_dir": output_dir,
        "total_episodes": settings.episodes * (settings.warmup + settings.iterations),
        "per_device_train_batch_size": settings.episodes,
        # see optimizer_steps_of_trl
        "gradient_accumulation_steps": 1,
        "num_mini_batches": settings.mini_batches,
        "num_ppo_epochs": settings.epochs,
        "local_rollout_forward_batch_size": settings.episodes,
        "response_length": settings.response_length,
        "stop_token": "eos",
        "temperature": settings.temperature,
        "learning_rate": settings.learning_rate,
        "adam_epsilon": 1e-5,
        "kl_coef": 0.05,
        "vf_coef": 0.1,
        "gamma": 1.0,
        "lam": 0.95,
        "whiten_rewards": False,
        "num_sample_generations": 0,
        "gradient_checkpointing": False,
        "bf16": False,
        "use_cpu": True,
        "seed": settings.seed,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def optimizer_steps(settings: Settings) -> int:
    """Optimizer steps of an iteration, as Schulman et al. 2017 (algorithm 1) count them."""
    return settings.epochs * settings.mini_batches


def optimizer_steps_of_trl(
    per_device: int, accumulation: int, mini_batches: int, epochs: int
) -> float:
    """Optimizer steps that TRL 1.12 really takes in an iteration.

    Its loop steps once a micro-batch inside ``accelerator.accumulate``, which lets every
    ``accumulation``-th call through, wherever in a mini-batch that falls. 64 episodes in two
    mini-batches as 32 x 2 take half the steps asked for; as 64 x 1 a mini-batch is one (short)
    micro-batch and all are taken.
    """
    mini_batch = per_device * accumulation // mini_batches
    micros = math.ceil(mini_batch / per_device)
    return epochs * mini_batches * micros / accumulation
