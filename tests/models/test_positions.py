"""The limit of positions is the last length that a forward survives, asked of the models."""

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

from rlhf_compare.models.fit import position_limit, position_limit_of_config
from rlhf_compare.models.positions import text_limit

SIZES: dict[str, Any] = {
    "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 16, "max_position_embeddings": 24, "pad_token_id": 3, "bos_token_id": 0,
    "eos_token_id": 2,
}  # fmt: skip
DECODER = {"num_key_value_heads": 2}
EXPECTED = {
    # positions counted from padding_idx + 1 on
    "roberta": 20, "xlm-roberta": 20, "camembert": 20, "longformer": 20, "data2vec-text": 20,
    "roberta-prelayernorm": 20, "xlm-roberta-xl": 20, "ibert": 20, "mpnet": 22,
    # from 0 on, or in a table with rows to spare
    "bert": 24, "electra": 24, "distilbert": 24, "gpt2": 24, "opt": 24, "nystromformer": 24,
    "gptj": 24,
}  # fmt: skip


def config_of(kind: str, **more: Any) -> Any:
    values = {**SIZES, **more}
    if kind == "opt":
        values["ffn_dim"] = values["word_embed_proj_dim"] = 16
    if kind == "gptj":
        values["rotary_dim"] = 4
    return AutoConfig.for_model(kind, **values)


def survives(model: Any, length: int) -> bool:
    ids = torch.full((1, length), 5)
    try:
        with torch.no_grad():
            model(input_ids=ids, attention_mask=torch.ones_like(ids))
    except (IndexError, RuntimeError):
        return False
    return True


@pytest.mark.parametrize(("kind", "limit"), EXPECTED.items())
def test_the_limit_is_the_last_length_that_works(kind: str, limit: int) -> None:
    config = config_of(kind)
    model = AutoModel.from_config(config).eval()
    assert survives(model, limit) and not survives(model, limit + 1)
    assert position_limit(model) == position_limit_of_config(config) == limit


def test_rotary_models_are_held_to_their_configuration() -> None:
    config = config_of("llama", **DECODER)
    assert position_limit_of_config(config) == position_limit(AutoModel.from_config(config)) == 24


@pytest.mark.parametrize("kind", ["bloom", "mamba"])
def test_a_model_without_positions_has_no_limit(kind: str) -> None:
    config = AutoConfig.for_model(
        kind, vocab_size=40, hidden_size=16, num_hidden_layers=1, n_layer=1, n_head=2
    )
    assert position_limit_of_config(config) is None


def test_asking_draws_no_random_number() -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    position_limit_of_config(config_of("roberta"))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_tokenizer_may_know_a_shorter_length(tokenizer: PreTrainedTokenizerFast) -> None:
    model = AutoModel.from_config(config_of("bert"))
    assert text_limit(model, tokenizer) == 24  # 10**30 is no length
    short = PreTrainedTokenizerFast(tokenizer_object=tokenizer._tokenizer, model_max_length=16)
    assert text_limit(model, short) == 16
