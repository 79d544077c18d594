"""What TRL's trainer sees and does here is what every other method sees and does."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from tokenizers.processors import TemplateProcessing
from torch import Tensor
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast
from trl import GRPOTrainer

from rlhf_compare.data.turns import opening_of
from rlhf_compare.errors import StageFailedError
from rlhf_compare.grpo.trainer import EncodedGRPOTrainer
from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.models.merging import save_merged
from rlhf_compare.models.policy import load_policy, response_logits
from rlhf_compare.models.scoring import score_sequences
from rlhf_compare.runs.checkpoints import Checkpoints
from rlhf_compare.tensors.logprobs import token_logprobs
from tests.grpo.conftest import PROMPTS, MakeGRPO
from tests.ppo.helpers import weights_hash


def watched(trainer: EncodedGRPOTrainer, name: str) -> list[tuple[tuple[Any, ...], Any]]:
    """What a method of the trainer was given and gave, call by call."""
    original, calls = getattr(trainer, name), []

    def spy(*args: Any, **kwargs: Any) -> Any:
        output = original(*args, **kwargs)
        calls.append(((args, kwargs), output))
        return output

    setattr(trainer, name, spy)
    return calls


def test_the_model_reads_our_token_ids_and_no_others(
    make_grpo: MakeGRPO, tokenizer: PreTrainedTokenizerFast
) -> None:
    """With a tokenizer that opens texts with BOS and has a chat template, which TRL would use."""
    opened = copy.deepcopy(tokenizer)
    opened._tokenizer.post_processor = TemplateProcessing(
        single=f"{opened.eos_token} $0", special_tokens=[(opened.eos_token, opened.eos_token_id)]
    )
    opened.chat_template = "{% for m in messages %}[turn]{{ m['content'] }}{% endfor %}"
    assert opening_of(opened) == [opened.eos_token_id]
    trainer, seen = make_grpo(processing_class=opened), []
    generate = trainer.model.generate

    def spy(input_ids: Tensor, attention_mask: Tensor, **kwargs: Any) -> Any:
        seen.extend(
            row[real.bool()].tolist() for row, real in zip(input_ids, attention_mask, strict=True)
        )
        return generate(input_ids=input_ids, attention_mask=attention_mask, **kwargs)

    trainer.model.generate = spy
    batches = watched(trainer, "_compute_loss")
    trainer.train()
    assert len(seen) == 3 * 16 and all(ids in PROMPTS for ids in seen)
    assert all(seen[i : i + 4] == [seen[i]] * 4 for i in range(0, len(seen), 4))  # whole groups
    trained = [
        ids[real.bool()].tolist()
        for ((_, inputs), _), _ in batches
        for ids, real in zip(inputs["prompt_ids"], inputs["prompt_mask"], strict=True)
    ]
    assert sorted(trained) == sorted(seen)


def test_responses_end_where_every_methods_end(
    make_grpo: MakeGRPO, tokenizer: PreTrainedTokenizerFast, saved_policy: Path
) -> None:
    """A word that the model's settings name as an end is none; see ``turn_ends``."""
    policy = load_policy(saved_policy)
    policy.generation_config.eos_token_id = [tokenizer.eos_token_id, 45]
    trainer = make_grpo(model=policy)
    assert trainer.eos_token_ids == [tokenizer.eos_token_id]
    assert trainer.generation_config.eos_token_id == [tokenizer.eos_token_id]


def test_the_reward_model_scores_the_ids_with_the_end_token(
    make_grpo: MakeGRPO, reward_model: ScalarHeadModel
) -> None:
    trainer = make_grpo({"max_steps": 8, "max_completion_length": 20, "learning_rate": 0.0})
    generated, scored = (
        watched(trainer, "_generate_single_turn"),
        watched(trainer, "_calculate_rewards"),
    )
    trainer.train()
    ended = 0
    for (((prompts, *_), _), (responses, _)), (_, scores) in zip(generated, scored, strict=True):
        whole = [x + y for x, y in zip(prompts, responses, strict=True)]
        expected = score_sequences(reward_model, whole, 64)
        torch.testing.assert_close(scores[:, 0], torch.tensor(expected), rtol=1e-4, atol=1e-4)
        ended += sum(y[-1] == trainer.end_ids[0] for y in responses)
    assert ended > 0


def test_logprobs_are_those_that_were_sampled_from(make_grpo: MakeGRPO) -> None:
    """Prompts of unequal lengths under learnt positions: TRL's own forward reads them shifted."""
    trainer = make_grpo({"temperature": 0.7})
    prompts, responses = [[41, 41, 41, 62], [44, 63]], [[70, 71, 72], [73, 74]]
    ids = torch.tensor([[41, 41, 41, 62, 70, 71, 72], [9, 9, 44, 63, 73, 74, 9]])
    mask = torch.tensor([[1, 1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1, 0]])
    with torch.no_grad():
        ours, _, _ = trainer._get_per_token_logps_and_entropies(trainer.model, ids, mask, 3)
        theirs, _, _ = GRPOTrainer._get_per_token_logps_and_entropies(
            trainer, trainer.model, ids, mask, 3
        )
        for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
            alone = torch.tensor([prompt + response])
            logits = response_logits(
                trainer.model, alone, torch.ones_like(alone).bool(), len(response), 0.7
            )
            expected = token_logprobs(logits, torch.tensor([response]))[0]
            torch.testing.assert_close(ours[row, : len(response)], expected)
    assert float((theirs[1, :2] - ours[1, :2]).abs().max()) > 1e-2  # what this guards against


def test_phases_and_tokens_are_metered(make_grpo: MakeGRPO) -> None:
    trainer = make_grpo()
    generated, losses = watched(trainer, "_generate_single_turn"), watched(trainer, "_compute_loss")
    with trainer.meter.stage():
        trainer.train()
    cost = trainer.meter.as_dict()
    assert {"generate", "score", "reference", "update", "data"} <= set(cost["phases"])
    assert all(seconds > 0 for seconds in cost["phases"].values())
    responses = [y for _, (batch, _) in generated for y in batch]
    assert cost["tokens"]["generated"] == sum(map(len, responses))
    real = sum(
        int(i["prompt_mask"].sum() + i["completion_mask"].sum()) for ((_, i), _), _ in losses
    )
    assert cost["tokens"]["trained"] == real > cost["tokens"]["generated"]


def test_the_reference_is_the_model_it_starts_from(make_grpo: MakeGRPO) -> None:
    trainer = make_grpo()
    before = weights_hash(trainer.model)
    assert weights_hash(trainer.ref_model) == before
    trainer.train()
    assert weights_hash(trainer.ref_model) == before != weights_hash(trainer.model)
    kl = [row["kl"] for row in trainer.state.log_history if "kl" in row]
    assert kl[0] == pytest.approx(0.0, abs=1e-6) and kl[-1] > 1e-4


def test_without_beta_there_is_no_reference(make_grpo: MakeGRPO) -> None:
    trainer = make_grpo({"beta": 0.0})
    trainer.train()
    assert trainer.ref_model is None and "reference" not in trainer.meter.phases


def test_a_score_that_is_not_finite_stops_the_stage(make_grpo: MakeGRPO) -> None:
    def broken(prompts: list[str], responses: list[str]) -> list[float]:
        return [float("nan")] * len(prompts)

    trainer = make_grpo(reward_model=broken)
    before = weights_hash(trainer.model)
    with pytest.raises(StageFailedError, match="the reward is nan at step 0"):
        trainer.train()
    assert weights_hash(trainer.model) == before


class Killed(BaseException):
    """As SIGKILL would: nothing of ours runs on."""


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="samples used once"),
        # samples of one round live through four optimizer steps
        pytest.param({"num_iterations": 2, "steps_per_generation": 4}, id="samples used again"),
    ],
)
@pytest.mark.parametrize("killed_after", [1, 3, 5])
def test_an_interrupted_run_ends_in_the_same_weights(
    make_grpo: MakeGRPO,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    killed_after: int,
) -> None:
    """Over several epochs, whose orders differ: 16 prompts, 4 of them a step."""
    settings = {"max_steps": 10, "lr_scheduler_type": "linear", **settings}

    def run(name: str, kill: int | None = None) -> EncodedGRPOTrainer:
        directory = tmp_path / name
        directory.mkdir(exist_ok=True)
        store = Checkpoints(directory / "resume", name, lambda _: None, seconds=0)
        trainer = make_grpo({**settings, "output_dir": str(directory)}, checkpoints=store)
        if kill is not None:
            step = trainer._maybe_log_save_evaluate

            def stepped(*args: Any, **kwargs: Any) -> None:
                step(*args, **kwargs)
                if trainer.state.global_step == kill:
                    raise Killed

            monkeypatch.setattr(trainer, "_maybe_log_save_evaluate", stepped)
            with pytest.raises(Killed):
                trainer.train()
        else:
            trainer.train()
        return trainer

    straight = run("straight")
    run("stopped", killed_after)
    resumed = run("stopped")
    assert weights_hash(resumed.model) == weights_hash(straight.model)
    assert resumed.meter.tokens == straight.meter.tokens


def test_adapters_train_and_their_base_is_the_reference(
    make_grpo: MakeGRPO, saved_policy: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    lora = LoraConfig(r=4, target_modules=["c_attn"], task_type="CAUSAL_LM")
    trainer = make_grpo(peft_config=lora)
    trainer.train()
    assert trainer.ref_model is None and trainer.meter.phases["reference"] > 0
    kl = [row["kl"] for row in trainer.state.log_history if "kl" in row]
    assert kl[0] == pytest.approx(0.0, abs=1e-6) and kl[-1] > 1e-5
    base = trainer.model.get_base_model().transformer.h[0].attn.c_attn.base_layer.weight
    start: GPT2LMHeadModel = load_policy(saved_policy)
    assert torch.equal(base, start.transformer.h[0].attn.c_attn.weight)
    save_merged(trainer.model, tmp_path / "merged")
    assert weights_hash(load_policy(tmp_path / "merged")) != weights_hash(start)


def test_adapters_that_move_the_base_are_refused(make_grpo: MakeGRPO) -> None:
    lora = LoraConfig(target_modules=["c_attn"], init_lora_weights="pissa", task_type="CAUSAL_LM")
    with pytest.raises(ValueError, match="the reference"):
        make_grpo(peft_config=lora)


@pytest.mark.slow
def test_it_learns_to_say_what_the_reward_pays_for(make_grpo: MakeGRPO) -> None:
    """The first token 70: the reference says it about once in 300 times."""

    def pays(prompts: list[str], responses: list[str]) -> list[float]:
        return [float(text.startswith(marker)) for text in responses]

    trainer = make_grpo(
        {"max_steps": 150, "num_generations": 16, "per_device_train_batch_size": 64,
         "gradient_accumulation_steps": 1, "learning_rate": 1e-2, "beta": 0.01},
        reward_model=pays,
    )  # fmt: skip
    marker = trainer.processing_class.decode([70])
    prompts = Dataset.from_dict({"prompt": PROMPTS})["prompt"]

    def probability() -> float:
        with torch.no_grad():
            last = [trainer.model(torch.tensor([p])).logits[0, -1].softmax(-1)[70] for p in prompts]
        return float(torch.stack(last).mean())

    before = probability()
    trainer.train()
    assert before < 0.05
    assert probability() > 0.8
