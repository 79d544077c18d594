"""A tile at a time gives what all logits at once give: values and gradients; and holds less."""

import copy
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from rlhf_compare.models import tiles
from rlhf_compare.models.policy import has_plain_head
from rlhf_compare.models.tiles import TokenLogits, in_tiles, response_statistics
from rlhf_compare.tensors.kl import against_reference
from rlhf_compare.tensors.logprobs import token_entropy, token_logprobs
from tests.largest_tensor import Largest

WORDS = 64
IDS = torch.randint(WORDS, (4, 9), generator=torch.Generator().manual_seed(0))
CHOSEN = torch.zeros(4, 9, dtype=torch.bool)
for _row, (_first, _last) in enumerate([(2, 9), (1, 4), (5, 6), (3, 9)]):
    CHOSEN[_row, _first:_last] = True


def sizes(**more: Any) -> dict[str, Any]:
    return {
        "vocab_size": WORDS, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 2, "initializer_range": 0.3, **more,
    }  # fmt: skip


def plain(seed: int = 0, **more: Any) -> Any:
    torch.manual_seed(seed)
    return LlamaForCausalLM(LlamaConfig(**sizes(**more))).double().eval()


class CappedHead(GPT2LMHeadModel):
    """Logits of at most 2, and float64 throughout, where Gemma 2 has norms in float32."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        out = super().forward(*args, **kwargs)
        out.logits = 2.0 * torch.tanh(out.logits / 2.0)
        return out


def capped(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=WORDS, n_layer=2, n_head=2, n_embd=16, n_positions=16, initializer_range=0.3
    )
    model = CappedHead(config).double().eval()
    assert not has_plain_head(model)
    return model


def adapted() -> Any:
    config = LoraConfig(r=4, target_modules=["q_proj", "lm_head"], init_lora_weights=False)
    return get_peft_model(plain(), config).double().eval()


MODELS = {
    "untied": plain,
    "tied": lambda: plain(tie_word_embeddings=True),
    "adapter on the head": adapted,
    "capped": capped,
}


def what_ppo_asks(tokens: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    return token_logprobs(logits, tokens), token_entropy(logits)


def values_and_gradient(model: Any) -> tuple[Tensor, Tensor]:
    """The columns, and the gradient of a loss that is linear in neither of them."""
    of = TokenLogits(model).of(IDS, CHOSEN, temperature=0.7)
    logprobs, entropy = in_tiles(what_ppo_asks, IDS[CHOSEN], of)
    model.zero_grad(set_to_none=True)
    (logprobs.exp() * torch.arange(len(logprobs)) + entropy**2).sum().backward()
    gradient = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    return torch.stack([logprobs, entropy]).detach(), torch.cat(gradient)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("positions", [1, 5])
def test_tiles_equal_the_whole(name: str, positions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = MODELS[name]()
    values, gradient = values_and_gradient(model)
    assert gradient.norm() > 1
    monkeypatch.setattr(tiles, "TILE", positions * WORDS)
    tiled, tiled_gradient = values_and_gradient(model)
    torch.testing.assert_close(tiled, values, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(tiled_gradient, gradient, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "pair", [(plain, plain), (plain, capped), (capped, plain)], ids=["plain", "ref", "policy"]
)
@pytest.mark.parametrize("rows", [0, 1, 2])
def test_a_policy_beside_its_reference(
    pair: Any, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With padding on both sides of some rows; where ``rows`` is 0, a few positions at a time."""
    models = [make(seed) for seed, make in enumerate(pair)]
    mask = torch.ones_like(IDS, dtype=torch.bool)
    mask[1, :3] = mask[2, 7:] = mask[3, 8:] = False
    asked = (against_reference, models, IDS, mask, 4)
    whole = response_statistics(*asked)
    monkeypatch.setattr(tiles, "TILE", (rows * 9 or 3) * WORDS)
    tiled = response_statistics(*asked)
    for one, other in zip(tiled, whole, strict=True):
        real = mask[:, -4:]
        torch.testing.assert_close(one[real], other[real], rtol=1e-10, atol=1e-10)
    assert float(whole[2].min()) > 0.01  # the two are not the same model


def test_what_fits_into_one_tile_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "checkpoint", None)  # a call would fail
    values_and_gradient(plain())


@pytest.mark.parametrize("grad", [True, False])
def test_no_tensor_is_larger_than_a_tile(
    grad: bool, policy: GPT2LMHeadModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At Qwen2's vocabulary; 48 tokens, where a tile holds 20."""
    words, (rows, length) = 151_936, (4, 12)
    monkeypatch.setattr(tiles, "TILE", 20 * words)
    config = copy.copy(policy.config)
    config.vocab_size, config.n_embd, config.n_positions = words, 4, length + 1
    model = GPT2LMHeadModel(config).eval()
    ids = torch.arange(rows * (length + 1)).view(rows, -1)
    chosen = torch.ones_like(ids, dtype=torch.bool)
    chosen[:, 0] = False
    with torch.set_grad_enabled(grad), Largest() as largest:
        of = TokenLogits(model).of(ids, chosen)
        logprobs, entropy = in_tiles(what_ppo_asks, ids[chosen], of)
        if grad:
            (logprobs.sum() + entropy.sum()).backward()
    assert 10 * words < largest.numel <= tiles.TILE < rows * length * words
