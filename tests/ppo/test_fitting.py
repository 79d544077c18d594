"""The policy that somebody gives the trainer fits its prompts, or is refused before it samples."""

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import GenerationConfig, GPT2LMHeadModel, PreTrainedTokenizerFast

from rlhf_compare.ppo.config import PPOConfig
from rlhf_compare.ppo.fitting import (
    open_policy,
    require_known_ids,
    require_positions,
    stop_tokens,
)
from rlhf_compare.ppo.trainer import PPOTrainer

from ..conftest import small_config
from ..models.families import LLAMA_3, byte_level


def settings(directory: Path, **fields: Any) -> PPOConfig:
    given = {"per_device_train_batch_size": 2, "total_episodes": 4, "response_length": 4, **fields}
    return PPOConfig(
        output_dir=str(directory), num_sample_generations=0, bf16=False, report_to="none",
        use_cpu=True, **given,
    )  # fmt: skip


def test_what_stops_a_response(tmp_path: Path) -> None:
    tokenizer = byte_level(chat_template=LLAMA_3)
    model = GPT2LMHeadModel(small_config(tokenizer))
    eos, eot = (tokenizer.convert_tokens_to_ids(t) for t in ("<|end_of_text|>", "<|eot_id|>"))
    assert stop_tokens(settings(tmp_path), tokenizer, model) == (eos, eot)
    assert model.generation_config.eos_token_id == [eos, eot]
    assert stop_tokens(settings(tmp_path, stop_token_id=9), tokenizer, model) == (9,)
    assert stop_tokens(settings(tmp_path, stop_token=None), tokenizer, model) == ()
    model.generation_config.eos_token_id = None
    assert model.generation_config.eos_token_id is None
    bare = PreTrainedTokenizerFast(tokenizer_object=tokenizer._tokenizer)
    with pytest.raises(ValueError, match=r"has no EOS token; set tokenizer\.eos_token"):
        stop_tokens(settings(tmp_path), bare, model)


def test_prompts_and_responses_fit_the_positions(policy: GPT2LMHeadModel, tmp_path: Path) -> None:
    require_positions(60, settings(tmp_path), model=policy, value_model=None)
    with pytest.raises(ValueError, match=r"61 tokens and a response of 4 .* are 65, model has 64"):
        require_positions(61, settings(tmp_path), model=policy)


def test_an_id_without_a_row_is_refused(policy: GPT2LMHeadModel) -> None:
    rows = policy.config.vocab_size
    with pytest.raises(ValueError, match=f"prompt 1 holds the id {rows}, .* has {rows} rows"):
        require_known_ids(Dataset.from_dict({"input_ids": [[1], [2, rows]]}), policy)


def test_a_policy_can_be_saved_or_is_refused(policy: GPT2LMHeadModel) -> None:
    policy.generation_config = GenerationConfig(temperature=0.5)
    assert open_policy(policy).generation_config.do_sample is True
    policy.generation_config.num_beams, policy.generation_config.num_return_sequences = 2, 3
    with pytest.raises(ValueError, match="num_return_sequences"):
        open_policy(policy)


def test_a_pad_token_without_a_row_and_a_model_by_its_path_train(
    tokenizer: PreTrainedTokenizerFast, policy: GPT2LMHeadModel, tmp_path: Path
) -> None:
    """As TRL's own scripts do it: a pad token is added, the embedding stays as it is."""
    policy.save_pretrained(tmp_path / "model")
    own = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer._tokenizer, eos_token=tokenizer.eos_token, pad_token="[PAD]"
    )
    assert own.pad_token_id == policy.config.vocab_size
    trainer = PPOTrainer(
        args=settings(tmp_path / "out"),
        processing_class=own,
        model=tmp_path / "model",
        reward_model=lambda prompts, responses: [float(len(r)) for r in responses],
        train_dataset=Dataset.from_dict({"input_ids": [[1, 2, 3], [4], [5, 6], [7, 8, 9, 10]]}),
    )
    before = [p.detach().clone() for p in trainer.policy.parameters()]
    trainer.train()
    assert trainer.pad_id == tokenizer.eos_token_id
    pairs = zip(before, trainer.policy.parameters(), strict=True)
    assert any(not torch.equal(old, new) for old, new in pairs)
