"""Dropout that is off is off everywhere, also where an architecture keeps it as a number."""

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from rlhf_compare.models.policy import disable_dropout

WIDE = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2}
KINDS: dict[str, dict[str, Any]] = {
    "opt": {**WIDE, "ffn_dim": 16, "word_embed_proj_dim": 16, "dropout": 0.3, "layerdrop": 0.5},
    "xglm": {"d_model": 16, "ffn_dim": 16, "attention_heads": 2, "num_layers": 2, "dropout": 0.3},
    "biogpt": {**WIDE, "intermediate_size": 16, "hidden_dropout_prob": 0.3, "layerdrop": 0.5},
    "llama": {**WIDE, "intermediate_size": 16, "attention_dropout": 0.3},
    "gpt2": {"n_embd": 16, "n_head": 2, "n_layer": 2},
}


@pytest.mark.parametrize("kind", KINDS)
def test_training_mode_computes_what_evaluation_mode_does(kind: str) -> None:
    torch.manual_seed(0)
    spread = {"initializer_range": 0.3, "init_std": 0.3}
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(kind, vocab_size=32, **spread, **KINDS[kind])
    )
    disable_dropout(model)
    ids = torch.arange(2, 14).view(2, 6)
    with torch.no_grad():
        expected = model.eval()(ids).logits
        for _ in range(3):
            torch.testing.assert_close(model.train()(ids).logits, expected)
