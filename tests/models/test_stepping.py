"""Caches of every kind: greedy answers to a left-padded batch are those to each prompt alone."""

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from rlhf_compare.models.generation import generate
from rlhf_compare.models.policy import response_logits
from rlhf_compare.models.stepping import CachedSteps, WholeSteps, steps_of
from rlhf_compare.tensors.padding import pad_sequences

PROMPTS = [[5, 6, 7, 8, 9, 10, 11], [3], [12, 13, 14, 15], [20, 21], [30, 31, 32, 33, 34]]
SIZES: dict[str, Any] = {
    "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 64, "max_position_embeddings": 64,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
MIXED = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_n_groups": 1}
LINEAR = {
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8,
    "linear_value_head_dim": 8, "head_dim": 8, "num_experts": 4, "num_experts_per_tok": 2,
    "moe_intermediate_size": 32, "shared_expert_intermediate_size": 32,
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "llama": {},
    "mamba": {"state_size": 8},
    "mamba2": {"state_size": 8, "num_heads": 4, "head_dim": 16, "n_groups": 1, "chunk_size": 8},
    "bamba": {**MIXED, "attn_layer_indices": [1]},
    "jamba": {
        "attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_state": 8, "mamba_dt_rank": 4,
        "num_experts": 4,
    },
    "falcon_h1": {**MIXED, "mamba_d_ssm": 64, "head_dim": 8},
    "nemotron_h": {
        "layers_block_type": ["mamba", "attention", "mamba", "moe"], "head_dim": 8,
        "mamba_num_heads": 4, "mamba_head_dim": 16, "ssm_state_size": 8, "n_groups": 1,
        "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
        "moe_shared_expert_intermediate_size": 32,
    },
    "qwen3_next": LINEAR,
    "lfm2": {"layer_types": ["conv", "full_attention", "conv", "conv"], "conv_L_cache": 3},
    "minimax": {"head_dim": 8, "num_local_experts": 4, "block_size": 8},
    "recurrent_gemma": {"lru_width": 32, "attention_window_size": 16, "head_dim": 8},
}  # fmt: skip


def model_of(kind: str) -> Any:
    sizes = {**SIZES, **KINDS[kind]}
    if kind == "nemotron_h":
        del sizes["num_hidden_layers"]  # it counts the blocks
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(kind, **sizes), dtype=torch.float32
    )
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.3)
    return model.eval()


@torch.no_grad()
def alone(model: Any, prompt: list[int], length: int) -> list[int]:
    ids = list(prompt)
    for _ in range(length):
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits
        ids.append(int(logits[0, -1].argmax()))
    return ids[len(prompt) :]


@pytest.mark.parametrize("kind", KINDS)
def test_answers_to_a_padded_batch_are_those_to_each_prompt_alone(kind: str) -> None:
    model = model_of(kind)
    free = [alone(model, prompt, 8) for prompt in PROMPTS]
    ends = (free[0][2], free[3][4])  # rows leave at different steps
    want = [
        row[: min((row.index(e) + 1 for e in ends if e in row), default=len(row))] for row in free
    ]
    assert len({len(row) for row in want}) > 1
    ids, mask = pad_sequences(PROMPTS, 0, "left")
    state = torch.random.get_rng_state()
    answers = generate(model, ids, mask, 8, ends, 0, temperature=None)
    assert answers.to_lists() == want
    assert answers.ended.tolist() == [row[-1] in ends for row in want]
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("kind", KINDS)
def test_logits_of_padded_rows_are_those_of_each_row_alone(kind: str) -> None:
    model, responses = model_of(kind), [[7, 8, 9], [7], [1, 2], [9, 9, 9], [4]]
    ids, mask = pad_sequences(PROMPTS, 0, "left")
    sampled_ids, real = pad_sequences(responses, 0, "right")
    whole, both = torch.cat([ids, sampled_ids], 1), torch.cat([mask, real], 1)
    with torch.no_grad():
        logits = response_logits(model, whole, both, 3)
        for row, (prompt, response) in enumerate(zip(PROMPTS, responses, strict=True)):
            single = model(torch.tensor([prompt + response]), use_cache=False).logits[0]
            expected = single[len(prompt) - 1 : -1]
            torch.testing.assert_close(logits[row, : len(response)], expected, rtol=0, atol=2e-3)


def test_plain_attention_is_trusted_and_hybrids_keep_their_cache_where_it_is_right() -> None:
    ids, mask = pad_sequences(PROMPTS, 0, "left")
    for kind, way in (
        ("llama", CachedSteps), ("nemotron_h", CachedSteps), ("recurrent_gemma", WholeSteps),
    ):  # fmt: skip
        assert type(steps_of(model_of(kind), ids, mask)) is way


def test_samples_of_a_hybrid_follow_its_distribution() -> None:
    model = model_of("nemotron_h")
    prompt = PROMPTS[3]
    ids, mask = pad_sequences([prompt] * 2000 + [PROMPTS[0]], 0, "left")
    torch.manual_seed(1)
    first = generate(model, ids, mask, 1, 2, 0, temperature=2.0).ids[:2000, 0]
    frequencies = torch.bincount(first, minlength=64) / 2000
    with torch.no_grad():
        expected = (model(torch.tensor([prompt])).logits[0, -1] / 2.0).softmax(-1)
    error = 5 * (expected * (1 - expected) / 2000).sqrt() + 2e-3
    assert bool(((frequencies - expected).abs() < error).all())


def test_a_model_that_returns_router_logits_is_sampled() -> None:
    """As supervised training leaves the configuration of a mixture of experts."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "mixtral", **SIZES, num_local_experts=4, output_router_logits=True, initializer_range=0.3
    )
    model = AutoModelForCausalLM.from_config(config).eval()
    ids, mask = pad_sequences(PROMPTS, 0, "left")
    sampled_ids = generate(model, ids, mask, 4, (), 0, temperature=None)
    assert sampled_ids.ids.tolist() == [alone(model, prompt, 4) for prompt in PROMPTS]
