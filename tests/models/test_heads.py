"""A scalar head reads the last real token by mask, and padding changes nothing."""

import pytest
import torch
from transformers import AutoModel, GPT2Config, GPT2Model

from rlhf_compare.errors import RecipeError
from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.tensors.padding import pad_sequences

EOS = 7  # also the pad id, as with GPT-2


@pytest.fixture
def model() -> ScalarHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=11, n_layer=2, n_head=2, n_embd=16, n_positions=32, eos_token_id=EOS
    )
    return ScalarHeadModel(GPT2Model(config), init_std=1.0).eval()


SEQUENCES = [[1, 2, 3, EOS], [4, 5, EOS], [1, 2, 3, 9, 8, EOS]]


def test_score_is_the_value_at_eos_and_not_before_it(model: ScalarHeadModel) -> None:
    ids, mask = pad_sequences(SEQUENCES, EOS, "right")
    values = model.token_values(ids, mask)
    scores = model.scores(ids, mask)
    for row, sequence in enumerate(SEQUENCES):
        assert scores[row] == values[row, len(sequence) - 1]
        assert scores[row] != values[row, len(sequence) - 2]


@pytest.mark.parametrize("side", ["left", "right"])
def test_batch_and_padding_side_change_no_score(model: ScalarHeadModel, side: str) -> None:
    alone = torch.cat([model.scores(*pad_sequences([s], EOS, "right")) for s in SEQUENCES])
    together = model.scores(*pad_sequences(SEQUENCES, EOS, side))  # type: ignore[arg-type]
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
def test_what_lies_under_padding_changes_no_score(model: ScalarHeadModel, side: str) -> None:
    ids, mask = pad_sequences(SEQUENCES, EOS, side)  # type: ignore[arg-type]
    garbage = torch.where(mask, ids, torch.full_like(ids, 3))
    torch.testing.assert_close(model.scores(garbage, mask), model.scores(ids, mask))


def test_saved_model_scores_the_same_and_plain_transformers_loads_its_backbone(
    model: ScalarHeadModel, tmp_path: object
) -> None:
    model.bias.fill_(0.25)
    model.save_pretrained(str(tmp_path))
    again = ScalarHeadModel.from_pretrained(str(tmp_path)).eval()
    ids, mask = pad_sequences(SEQUENCES, EOS, "right")
    assert torch.equal(again.scores(ids, mask), model.scores(ids, mask))
    backbone = AutoModel.from_pretrained(str(tmp_path))
    assert torch.equal(backbone.wte.weight, model.backbone.wte.weight)


def test_directory_without_a_head_is_named(tmp_path: object) -> None:
    with pytest.raises(RecipeError, match="no reward model there"):
        ScalarHeadModel.from_pretrained(str(tmp_path))
