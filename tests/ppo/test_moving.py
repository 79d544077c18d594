"""The calls that scripts for TRL 1.12's PPOTrainer make, on small local models: the import alone
changes."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import (
    AutoPeftModelForCausalLM,
    LoraConfig,
    PromptTuningConfig,
    TaskType,
    get_peft_model,
)
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    HfArgumentParser,
    PreTrainedTokenizerFast,
)
from trl import ModelConfig, ScriptArguments, get_peft_config

from rlhf_compare.errors import RecipeError
from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.ppo import PPOConfig, PPOTrainer
from tests.conftest import small_config
from tests.ppo.conftest import PROMPTS, MakeTrainer
from tests.ppo.helpers import classifier, collect, shape, weights_hash


def padded(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """As TRL's scripts make it: the pad token is new and the embedding has no row for it."""
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.padding_side = "left"
    return tokenizer


# --- the script


@pytest.mark.parametrize(
    "options", [[], ["--use_peft", "--lora_target_modules", "q_proj", "v_proj"]]
)
def test_a_whole_script_runs(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, options: list[str], capsys: Any
) -> None:
    """Arguments from a command line, policy, reference, reward and value models from folders, a
    new pad token, training, saving, and a table of completions at the end."""
    out, start, judge = (str(tmp_path / name) for name in ("out", "sft", "reward"))
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(shape("qwen2", tokenizer)).save_pretrained(start)
    classifier(tokenizer).save_pretrained(judge)
    parser = HfArgumentParser((ScriptArguments, PPOConfig, ModelConfig))  # type: ignore[arg-type]
    _, args, model_args = parser.parse_args_into_dataclasses(
        [
            "--dataset_name", "none", "--output_dir", out, "--model_name_or_path", start,
            "--sft_model_path", start, "--reward_model_path", judge, "--learning_rate", "1e-2",
            "--per_device_train_batch_size", "4", "--num_ppo_epochs", "2", "--total_episodes", "8",
            "--response_length", "6", "--missing_eos_penalty", "1.0", "--stop_token", "eos",
            "--gradient_checkpointing", "true", "--dataset_num_proc", "1", "--report_to", "none",
            "--eval_strategy", "steps", "--eval_steps", "1", *options,
        ]
    )  # fmt: skip
    tokenizer = padded(tokenizer)
    value_model, reward_model = (
        AutoModelForSequenceClassification.from_pretrained(args.reward_model_path, num_labels=1)
        for _ in range(2)
    )
    policy = AutoModelForCausalLM.from_pretrained(args.sft_model_path)
    peft_config = get_peft_config(model_args)
    reference = None if peft_config else copy.deepcopy(policy)
    before, reward = weights_hash(value_model), weights_hash(reward_model)
    dataset = Dataset.from_dict({"input_ids": PROMPTS})
    trainer = PPOTrainer(
        args=args,
        processing_class=tokenizer,
        model=policy,
        ref_model=reference,
        reward_model=reward_model,
        value_model=value_model,
        train_dataset=dataset,
        eval_dataset=dataset.select(range(4)),
        peft_config=peft_config,
    )
    assert trainer.is_peft_model is bool(options)
    trainer.train()
    trainer.save_model(args.output_dir)
    trainer.generate_completions()

    names = {name for name, _ in value_model.named_parameters()}
    assert {name for name, _ in trainer.model.value_model.named_parameters()} == names
    assert weights_hash(value_model) != before and weights_hash(reward_model) == reward
    kind = AutoPeftModelForCausalLM if options else AutoModelForCausalLM
    saved, ids = kind.from_pretrained(out), torch.tensor([[40, 41, 42]])
    with torch.no_grad():
        # PEFT makes a row for the pad token of the tokenizer beside the adapter
        logits = saved.eval()(ids).logits[..., : len(tokenizer) - 1]
        torch.testing.assert_close(logits, trainer.policy(ids).logits, rtol=0, atol=1e-5)
    lines = [json.loads(line) for line in (Path(out) / "samples.jsonl").read_text().splitlines()]
    assert {"prompt", "response", "score"} <= set(lines[-1])
    assert "response" in capsys.readouterr().out


def test_arguments_in_trls_order(
    make_trainer: MakeTrainer, tokenizer: PreTrainedTokenizerFast, policy: GPT2LMHeadModel
) -> None:
    args, prompts = make_trainer().ppo, Dataset.from_dict({"input_ids": PROMPTS})
    collator = DataCollatorWithPadding(tokenizer)
    critic = classifier(tokenizer, seed=4)
    trainer = PPOTrainer(
        args, tokenizer, copy.deepcopy(policy), None, classifier(tokenizer), prompts, critic,
        collator, prompts.select(range(3)),
    )  # fmt: skip
    trainer.train()
    assert trainer.state.global_step == 3 and len(trainer.eval_dataset) == 3
    assert trainer.value_model is trainer.model.value_model
    assert trainer.policy_model is trainer.policy


def test_a_users_collator_gives_the_prompts_without_its_padding(
    make_trainer: MakeTrainer, tokenizer: PreTrainedTokenizerFast
) -> None:
    """Pad = EOS, which stands in the prompts too: the mask decides, not the id."""
    eos = tokenizer.eos_token_id
    prompts = Dataset.from_dict({"input_ids": [[eos, 40], [41], [42, eos, 43]] * 4})
    trainer = make_trainer(data_collator=DataCollatorWithPadding(tokenizer), train_dataset=prompts)
    batch = trainer._collate([{"input_ids": ids} for ids in prompts["input_ids"][:3]])
    found = [ids[mask].tolist() for ids, mask in zip(*batch.values(), strict=True)]
    assert found == prompts["input_ids"][:3]
    assert bool(batch["prompt_mask"][:, -1].all())  # padding comes first, as sampling needs it


# --- reward and value models


@pytest.mark.parametrize("kind", ["llama", "qwen2", "mistral", "gemma"])
def test_peft_classifier_scores_as_its_own_forward(
    make_trainer: MakeTrainer, tokenizer: PreTrainedTokenizerFast, kind: str
) -> None:
    """Each sequence alone and unpadded through PEFT's and transformers' own forward."""
    config = LoraConfig(task_type=TaskType.SEQ_CLS, r=4, target_modules=["q_proj"])
    adapted = get_peft_model(classifier(tokenizer, kind), config).eval()
    torch.manual_seed(8)
    for name, parameter in adapted.named_parameters():
        if "lora_" in name or "score" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    trainer = make_trainer(reward_model=adapted)
    before = weights_hash(adapted)
    rollout = collect(trainer)
    for row in range(4):
        ids = rollout.sequences[row : row + 1, : rollout.lengths[row]]
        with torch.no_grad():
            expected = adapted(ids).logits[0, 0]
        torch.testing.assert_close(rollout.scores[row], expected, rtol=1e-4, atol=1e-4)
    trainer.train()
    assert weights_hash(adapted) == before


def test_peft_value_model_trains_its_adapter_and_head_and_nothing_else(
    make_trainer: MakeTrainer, tokenizer: PreTrainedTokenizerFast
) -> None:
    config = LoraConfig(task_type=TaskType.SEQ_CLS, r=4, target_modules=["q_proj"])
    critic = get_peft_model(classifier(tokenizer), config)
    critic.requires_grad_(False)  # as an adapter from disk is
    before = {name: value.clone() for name, value in critic.named_parameters()}
    make_trainer(value_model=critic, reward_model=classifier(tokenizer, seed=5)).train()
    moved = {name for name, p in critic.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {n for n in before if "lora_" in n or "modules_to_save" in n}


def test_models_that_would_train_what_must_not_are_refused(
    make_trainer: MakeTrainer, tokenizer: PreTrainedTokenizerFast, policy: GPT2LMHeadModel
) -> None:
    both = classifier(tokenizer)
    shared = "value_model and reward_model share weights"
    with pytest.raises(ValueError, match=shared):
        make_trainer(reward_model=both, value_model=both)
    with pytest.raises(ValueError, match=shared):
        make_trainer(reward_model=both, value_model=ScalarHeadModel.from_classifier(both))
    with pytest.raises(ValueError, match="model and value_model share weights"):
        make_trainer(value_model=ScalarHeadModel(policy.transformer))
    with pytest.raises(ValueError, match="model and reward_model share weights"):
        make_trainer(reward_model=ScalarHeadModel(policy.transformer))
    with pytest.raises(ValueError, match="value_trunk: shared has no value_model"):
        make_trainer({"value_trunk": "shared"}, value_model=both)


def test_arguments_of_other_types_are_named(
    make_trainer: MakeTrainer, tokenizer: PreTrainedTokenizerFast, policy: GPT2LMHeadModel
) -> None:
    with pytest.raises(ValueError, match="`train_dataset` is required"):
        make_trainer(train_dataset=None)
    with pytest.raises(RecipeError, match=r"^model: .* a/path"):
        make_trainer(model="a/path")
    with pytest.raises(TypeError, match=r"^ref_model: 'a/path' is no model; load it with"):
        make_trainer(ref_model="a/path")
    with pytest.raises(TypeError, match="reward_model: NoneType is neither a model"):
        make_trainer(reward_model=None)
    with pytest.raises(TypeError, match="value_model: a function has no weights"):
        make_trainer(value_model=lambda prompts, responses: [0.0] * len(prompts))
    with pytest.raises(TypeError, match="value_model: GPT2LMHeadModel has no scalar head"):
        make_trainer(value_model=policy)
    prompts = PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM")
    with pytest.raises(TypeError, match="PromptTuningConfig: only low-rank adapters"):
        make_trainer(peft_config=prompts)
    learnt = PromptTuningConfig(num_virtual_tokens=2, task_type="SEQ_CLS")
    with pytest.raises(ValueError, match="its own forward scores"):
        make_trainer(reward_model=get_peft_model(classifier(tokenizer), learnt))
    with pytest.raises(ValueError, match=r"of 3 tokens and a response of 62 .* model has 64 pos"):
        make_trainer(
            {"response_length": 62}, train_dataset=Dataset.from_dict({"input_ids": [[5] * 3] * 8})
        )


# --- tokens


def test_a_pad_id_that_the_embedding_has_not_is_never_used(
    make_trainer: MakeTrainer, tokenizer: PreTrainedTokenizerFast, policy: GPT2LMHeadModel
) -> None:
    trainer = make_trainer(processing_class=padded(tokenizer))
    assert trainer.pad_id == tokenizer.eos_token_id
    trainer.train()
    inside = copy.deepcopy(tokenizer)
    inside.pad_token_id = 5
    assert make_trainer(model=copy.deepcopy(policy), processing_class=inside).pad_id == 5
    nothing = copy.deepcopy(tokenizer)
    nothing.pad_token = None
    trainer = make_trainer(model=copy.deepcopy(policy), processing_class=nothing)
    assert trainer.pad_id == tokenizer.eos_token_id


def test_what_ends_a_response(make_trainer: MakeTrainer, policy: GPT2LMHeadModel) -> None:
    eos = policy.config.eos_token_id
    assert make_trainer().stop_token_id == eos
    other = make_trainer({"stop_token_id": 7}, model=copy.deepcopy(policy))
    assert (other.stop_token_id, other.collector.stop_ids) == (7, (7,))
    endless = make_trainer({"stop_token": None}, model=copy.deepcopy(policy))
    assert endless.stop_token_id is None
    rollout = collect(endless)  # as in TRL: full length, whatever the policy says
    assert bool(rollout.response_mask.all()) and rollout.response_mask.shape[1] == 6
    assert not bool(rollout.ended.any())


# --- evaluation sets


def test_several_evaluation_sets(make_trainer: MakeTrainer) -> None:
    asked = Dataset.from_dict({"input_ids": PROMPTS[:4]})
    sets = {"a": asked, "b": asked.select([0, 1])}
    trainer = make_trainer({"eval_strategy": "steps", "eval_steps": 1}, eval_dataset=sets)
    trainer.train()
    row = [row for row in trainer.state.log_history if "eval_a_objective/scores" in row][-1]
    assert "eval_b_objective/scores" in row and "eval_objective/scores" not in row
    alone = trainer.evaluate(asked)
    assert alone["eval_objective/scores"] == row["eval_a_objective/scores"]


def test_completions_are_greedy_and_move_no_draw(
    make_trainer: MakeTrainer, capsys: pytest.CaptureFixture
) -> None:
    asked = Dataset.from_dict({"input_ids": [PROMPTS[0]] * 12})
    trainer = make_trainer(eval_dataset=asked)
    state = torch.random.get_rng_state()
    trainer.generate_completions(sampling=True)
    assert torch.equal(torch.random.get_rng_state(), state)
    lines = (Path(trainer.args.output_dir) / "samples.jsonl").read_text().splitlines()
    assert len(lines) == trainer.args.per_device_eval_batch_size
    assert len({json.loads(line)["response"] for line in lines}) == 1
    assert "prompt" in capsys.readouterr().out


def test_gpt2_classifier_as_both_models(
    make_trainer: MakeTrainer, tokenizer: PreTrainedTokenizerFast
) -> None:
    config = small_config(tokenizer)
    config.num_labels = 1
    critic, judge = (GPT2ForSequenceClassification(config) for _ in range(2))
    before = weights_hash(critic)
    make_trainer(value_model=critic, reward_model=judge).train()
    assert weights_hash(critic) != before
