"""One run of TRL 1.12's PPOTrainer, in its own environment: settings and inputs in, JSON out."""

import gc
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import transformers
import trl
from datasets import Dataset
from transformers import AutoTokenizer, GPT2ForSequenceClassification, GPT2LMHeadModel
from trl.experimental.ppo import PPOConfig, PPOTrainer, ppo_trainer

from benchmarks.memory import resident_bytes, resident_peak
from benchmarks.probe import NamedPhases, Probe
from benchmarks.settings import Settings, trainer_arguments


class _Watched:
    """TRL's functions, wrapped where its module looks them up; what is left over is ``update``."""

    def __init__(self, clock: NamedPhases, eos_id: int) -> None:
        self.clock, self.eos_id, self.tokens = clock, eos_id, 0
        self._generation, self._forward = ppo_trainer.batch_generation, ppo_trainer.forward
        self._logprobs = ppo_trainer.selective_log_softmax
        ppo_trainer.batch_generation = self.batch_generation
        ppo_trainer.forward = self.forward
        ppo_trainer.selective_log_softmax = self.selective_log_softmax
        ppo_trainer.get_reward = clock.timed(ppo_trainer.get_reward, "score")
        ppo_trainer.gc = SimpleNamespace(collect=clock.timed(gc.collect, "garbage collection"))

    def batch_generation(self, model: Any, queries: Any, *args: Any) -> Any:
        with self.clock.phase("generate"):
            output = self._generation(model, queries, *args)
        ended = output[0][:, queries.shape[1] :] == self.eos_id
        earlier = ended.long().cumsum(1) - ended.long()
        self.tokens += int((earlier == 0).sum())
        return output

    def forward(self, *args: Any) -> Any:
        # with a gradient it is the update, without one the reference
        name = "update" if torch.is_grad_enabled() else "reference"
        with self.clock.phase(name):
            return self._forward(*args)

    def selective_log_softmax(self, *args: Any) -> Any:
        name = "update" if torch.is_grad_enabled() else "score"
        with self.clock.phase(name):
            return self._logprobs(*args)


class _TimedLoader:
    """The prompts' loader, charged to ``data``."""

    def __init__(self, loader: Any, clock: NamedPhases) -> None:
        self._loader, self._clock = loader, clock

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self._loader)
        while True:
            with self._clock.phase("data"):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch


def run(settings: Settings, inputs: Path, scratch: str) -> dict[str, Any]:
    """Train and tell."""
    torch.set_num_threads(settings.threads)
    imported = resident_bytes()
    tokenizer = AutoTokenizer.from_pretrained(inputs / "tokenizer", padding_side="left")
    policy, reference = (GPT2LMHeadModel.from_pretrained(inputs / "policy") for _ in range(2))
    reward, value = (
        GPT2ForSequenceClassification.from_pretrained(inputs / "classifier") for _ in range(2)
    )
    prompts = json.loads((inputs / "prompts.json").read_text(encoding="utf-8"))
    loaded = resident_bytes()

    clock = NamedPhases()
    watched = _Watched(clock, tokenizer.eos_token_id)
    probe = Probe(clock, lambda: watched.tokens)
    probe.watch_optimizer()
    trainer = PPOTrainer(
        args=PPOConfig(**trainer_arguments(settings, scratch)),
        processing_class=tokenizer,
        model=policy,
        ref_model=reference,
        reward_model=reward,
        value_model=value,
        train_dataset=Dataset.from_dict({"input_ids": prompts}),
        callbacks=[probe],
    )
    trainer.dataloader = _TimedLoader(trainer.dataloader, clock)
    probe.watch_model("policy", policy.transformer, policy.lm_head)
    probe.watch_model("reference", reference.transformer, reference.lm_head)
    probe.watch_model("reward", reward.transformer)
    probe.watch_model("value", value.transformer)
    with resident_peak() as peak, clock.phase("update"):
        trainer.train()
    return probe.result(settings.warmup) | {
        "memory": {"imported": imported, "loaded": loaded, "peak": peak.peak},
        "versions": {
            "trl": trl.__version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
    }


if __name__ == "__main__":
    settings_file, inputs_directory, scratch_directory, result_file = sys.argv[1:]
    result = run(Settings.read(settings_file), Path(inputs_directory), scratch_directory)
    Path(result_file).write_text(json.dumps(result), encoding="utf-8")
