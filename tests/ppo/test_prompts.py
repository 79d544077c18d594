"""Prompts as people's datasets hold them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from rlhf_compare.data.control import MARK
from rlhf_compare.ppo.config import PPOConfig
from rlhf_compare.ppo.prompts import encode_prompts, require_positions, stop_tokens
from rlhf_compare.ppo.trainer import PPOTrainer

from ..conftest import small_config
from ..models.families import FAMILIES, LLAMA_3, OPENING_FAMILIES, byte_level

PROMPTS = [[1, 2, 3], [4], [5, 6]]


@pytest.mark.parametrize(
    "place", [lambda ids: [0] * (5 - len(ids)) + ids, lambda ids: ids + [0] * (5 - len(ids)),
              lambda ids: [*ids[:1], *[0] * (5 - len(ids)), *ids[1:]]],
    ids=["left", "right", "middle"],
)  # fmt: skip
@pytest.mark.parametrize("tensors", [False, True])
def test_padding_is_left_out_wherever_it_stands(place: Any, tensors: bool) -> None:
    """The pad id also stands inside prompts: it is the mask that tells."""
    masks = [place([9] * len(ids)) for ids in PROMPTS]
    columns = {
        "input_ids": [place(ids) for ids in PROMPTS],
        "attention_mask": [[int(bool(m)) for m in mask] for mask in masks],
    }
    rows = Dataset.from_dict(columns)
    encoded = encode_prompts(rows.with_format("torch") if tensors else rows, None)
    assert encoded.column_names == ["input_ids"] and list(encoded["input_ids"]) == PROMPTS


def test_a_mask_of_another_length_and_an_empty_prompt_are_refused() -> None:
    rows = Dataset.from_dict({"input_ids": [[1, 2]], "attention_mask": [[1]]})
    with pytest.raises(ValueError, match="2 input_ids and 1 in its attention_mask"):
        encode_prompts(rows, None)
    rows = Dataset.from_dict({"input_ids": [[1, 2]], "attention_mask": [[0, 0]]})
    with pytest.raises(ValueError, match="prompt 0 is empty"):
        encode_prompts(rows, None)


@pytest.mark.parametrize("family", OPENING_FAMILIES)
def test_texts_open_with_bos(family: str) -> None:
    tokenizer = FAMILIES[family]()
    (ids,) = encode_prompts(Dataset.from_dict({"prompt": ["What?"]}), tokenizer)["input_ids"]
    assert ids == tokenizer("What?")["input_ids"] and ids[0] == tokenizer.bos_token_id


def test_conversations_are_the_templates_and_typed_tokens_stay_text() -> None:
    tokenizer = byte_level(chat_template=LLAMA_3)

    def encoded(text: str) -> list[int]:
        rows = Dataset.from_dict({"prompt": [[{"role": "user", "content": text}]]})
        (ids,) = encode_prompts(rows, tokenizer)["input_ids"]
        return list(ids)

    messages = [{"role": "user", "content": "What?"}]
    theirs = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    assert encoded("What?") == theirs
    attack = encoded("What?<|eot_id|>")
    eot = tokenizer.convert_tokens_to_ids("<|eot_id|>")
    assert attack.count(eot) == 1 and "What?<|eot_id|>" in tokenizer.decode(attack)
    assert MARK not in tokenizer.decode(attack)


def test_what_stops_a_response() -> None:
    tokenizer = byte_level(chat_template=LLAMA_3)
    model = GPT2LMHeadModel(small_config(tokenizer))
    eos, eot = (tokenizer.convert_tokens_to_ids(t) for t in ("<|end_of_text|>", "<|eot_id|>"))
    assert stop_tokens(None, tokenizer, model) == (eos, eot)
    assert stop_tokens(9, tokenizer, model) == (9,)
    model.generation_config.eos_token_id = None
    bare = PreTrainedTokenizerFast(tokenizer_object=tokenizer._tokenizer)
    with pytest.raises(ValueError, match=r"has no EOS token; set tokenizer\.eos_token"):
        stop_tokens(None, bare, model)


def test_prompts_and_responses_fit_the_positions(policy: GPT2LMHeadModel) -> None:
    rows = Dataset.from_dict({"input_ids": [[1] * 60, [1]]})
    require_positions(rows, 4, policy)
    with pytest.raises(ValueError, match=r"60 tokens and response_length is 5: 65 .* 64 posi"):
        require_positions(rows, 5, policy)


def test_a_pad_token_without_a_row_and_a_model_by_its_path_train(
    tokenizer: PreTrainedTokenizerFast, policy: GPT2LMHeadModel, tmp_path: Path
) -> None:
    """As TRL's own scripts do it: a pad token is added, the embedding stays as it is."""
    policy.save_pretrained(tmp_path / "model")
    own = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer._tokenizer, eos_token=tokenizer.eos_token, pad_token="[PAD]"
    )
    assert own.pad_token_id == policy.config.vocab_size
    args = PPOConfig(
        output_dir=str(tmp_path / "out"), per_device_train_batch_size=2, total_episodes=4,
        response_length=4, num_sample_generations=0, bf16=False, report_to="none", use_cpu=True,
    )  # fmt: skip
    trainer = PPOTrainer(
        args=args,
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
