"""The forward of a pair says what TRL's says, and computes less."""

import copy
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2LMHeadModel,
    Lfm2Config,
    LlamaConfig,
    MistralConfig,
    OPTConfig,
    PreTrainedTokenizerFast,
)
from trl.trainer.utils import add_fused_lm_head

from rlhf_compare.dpo.forward import can_share_prompts, logprobs_alone, use_pair_forward
from rlhf_compare.dpo.layout import PairLayout
from rlhf_compare.models import tiles
from rlhf_compare.tensors.padding import pad_sequences

FIELDS = ("log_probs", "entropy", "mean_logits", "is_top1", "label_mask")


def two_heads(model: Any) -> tuple[Any, Any]:
    """The same weights with ours and with TRL's."""
    ours, theirs = copy.deepcopy(model), copy.deepcopy(model)
    for one in (ours, theirs):
        add_fused_lm_head(one, outputs=("log_probs", "entropy", "mean_logits", "is_top1"))
    use_pair_forward(ours)
    return ours, theirs


def batch(starts: list[int], lengths: list[int], vocabulary: int) -> dict[str, Any]:
    """Rows of tokens with labels from ``starts`` on, padded last."""
    generator, half = torch.Generator().manual_seed(0), len(lengths) // 2
    rows = [torch.randint(vocabulary, (n,), generator=generator).tolist() for n in lengths]
    for above, below, start in zip(rows[:half], rows[half:], starts, strict=False):
        below[:start] = above[: min(start, len(below))]
    ids, mask = pad_sequences(rows, 0, "right")
    position = torch.arange(ids.shape[1])
    labels = ids.masked_fill(~mask | (position < torch.tensor(starts).unsqueeze(1)), -100)
    return {"input_ids": ids, "attention_mask": mask.long(), "labels": labels}


def gradient(model: Any) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


PAIRS = ([3, 1, 3, 1], [7, 4, 5, 12])  # prompts of 3 and 1 tokens
ODD = ([3, 0, 9, 2], [7, 4, 9, 12])  # no pairs; a label that nothing predicts; a row without one


@pytest.mark.parametrize("tile", [1 << 25, 300 * 5])
@pytest.mark.parametrize(("starts", "lengths"), [PAIRS, ODD], ids=["pairs", "odd"])
def test_values_and_gradient_are_those_of_trl(
    policy: GPT2LMHeadModel,
    monkeypatch: pytest.MonkeyPatch,
    starts: list[int],
    lengths: list[int],
    tile: int,
) -> None:
    """With padding; in one tile and in several."""
    monkeypatch.setattr(tiles, "TILE", tile)
    ours, theirs = two_heads(policy.double().eval())
    inputs = batch(starts, lengths, policy.config.vocab_size)
    assert (PairLayout.of(inputs["input_ids"], inputs["labels"]) is None) == (starts == ODD[0])
    weights = torch.randn(4, 11, dtype=torch.double, generator=torch.Generator().manual_seed(1))
    outputs = [model(**inputs, fused_lm_head=True, use_cache=False) for model in (ours, theirs)]
    for field in FIELDS:
        torch.testing.assert_close(
            getattr(outputs[0], field).double(),
            getattr(outputs[1], field).double(),
            rtol=0,
            atol=1e-5,
        )
    assert outputs[0].label_mask.sum() == sum(lengths) - sum(max(1, start) for start in starts)
    for one, model in zip(outputs, (ours, theirs), strict=True):
        (one.log_probs * weights).sum().backward()
        assert gradient(model).norm() > 1
    torch.testing.assert_close(gradient(ours), gradient(theirs), rtol=1e-5, atol=1e-5)


def test_a_reference_is_asked_for_no_more_than_it_must_say(policy: GPT2LMHeadModel) -> None:
    model, _ = two_heads(policy.eval())
    inputs = {**batch(*PAIRS, policy.config.vocab_size), "fused_lm_head": True}
    alone, whole = logprobs_alone(model)(**inputs), model(**inputs)
    assert alone.entropy is None and whole.entropy is not None
    assert torch.equal(alone.log_probs, whole.log_probs)


def _small(**more: Any) -> dict[str, Any]:
    return {
        "vocab_size": 64, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 2, "initializer_range": 0.3, **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("config", "shares"),
    [
        (LlamaConfig(**_small()), True),
        (MistralConfig(**_small(sliding_window=None)), True),
        (MistralConfig(**_small(sliding_window=8)), False),  # its window is a mask of its own
        (
            OPTConfig(
                vocab_size=64,
                hidden_size=16,
                word_embed_proj_dim=16,
                ffn_dim=32,
                num_hidden_layers=2,
                num_attention_heads=2,
            ),
            True,
        ),
        (BloomConfig(vocab_size=64, hidden_size=16, n_layer=2, n_head=2), False),  # by distance
    ],
    ids=["llama", "mistral", "window", "opt", "alibi"],
)
def test_prompts_are_shared_where_a_model_reads_the_pair_as_two_rows(
    config: Any, shares: bool
) -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    assert can_share_prompts(model) == shares
    ours, theirs = two_heads(model)
    inputs = {**batch(*PAIRS, 64), "fused_lm_head": True}
    torch.testing.assert_close(
        ours(**inputs).log_probs, theirs(**inputs).log_probs, rtol=0, atol=1e-4
    )


@pytest.mark.parametrize("lora", [False, True])
def test_prompts_and_padding_never_reach_the_head(policy: GPT2LMHeadModel, lora: bool) -> None:
    model, _ = two_heads(policy)
    rows: list[int] = []
    model.lm_head.register_forward_hook(lambda _m, inputs, _o: rows.append(len(inputs[0])))
    if lora:
        model = get_peft_model(model, LoraConfig(target_modules=["c_attn"], task_type="CAUSAL_LM"))
    model(**batch([3, 5], [7, 12], policy.config.vocab_size), fused_lm_head=True)
    assert rows == [4 + 7]


def test_a_batch_without_a_label_has_a_gradient_of_zero(policy: GPT2LMHeadModel) -> None:
    model, _ = two_heads(policy)
    outputs = model(**batch([9, 9], [4, 6], policy.config.vocab_size), fused_lm_head=True)
    outputs.log_probs.sum().backward()
    assert float(gradient(model).abs().max()) == 0.0


def test_logits_that_are_capped_stay_with_trl(tokenizer: PreTrainedTokenizerFast) -> None:
    """Also where the logits are so small that the cap hardly shows."""
    torch.manual_seed(0)
    sizes = _small(vocab_size=len(tokenizer), head_dim=8, initializer_range=1e-3)
    model = Gemma2ForCausalLM(Gemma2Config(**sizes, final_logit_softcapping=30.0))
    ours, theirs = two_heads(model)
    assert not hasattr(ours.forward, "trl_forward")
    inputs = batch([2], [6], len(tokenizer))
    assert torch.equal(
        ours(**inputs, fused_lm_head=True).log_probs,
        theirs(**inputs, fused_lm_head=True).log_probs,
    )


@torch.no_grad()
def test_a_copy_computes_with_its_own_weights(policy: GPT2LMHeadModel) -> None:
    model, _ = two_heads(policy.eval())
    copied = copy.deepcopy(model)
    for parameter in copied.parameters():
        parameter.zero_()
    outputs = copied(**batch([1], [3], policy.config.vocab_size), fused_lm_head=True)
    uniform = -torch.tensor(float(policy.config.vocab_size)).log()
    torch.testing.assert_close(outputs.log_probs, uniform.expand(1, 2))


def test_what_leaks_a_little_before_training_is_a_leak() -> None:
    """A short convolution carries the end of chosen into rejected, at first by next to nothing."""
    torch.manual_seed(0)
    sizes = _small(intermediate_size=16, initializer_range=0.02)
    config = Lfm2Config(**sizes, layer_types=["conv", "full_attention"])
    assert not can_share_prompts(AutoModelForCausalLM.from_config(config).eval())


@torch.no_grad()
def test_everything_else_is_the_forward_that_it_was(policy: GPT2LMHeadModel) -> None:
    model, _ = two_heads(policy.eval())
    ids = torch.tensor([[5, 6, 7]])
    assert torch.equal(model(input_ids=ids).logits, policy(input_ids=ids).logits)
    labelled = {"input_ids": ids, "labels": ids}
    assert torch.equal(model(**labelled).loss, policy(**labelled).loss)
    generated = model.generate(ids, max_new_tokens=4, do_sample=False)
    assert torch.equal(generated, policy.generate(ids, max_new_tokens=4, do_sample=False))
