"""A scalar head reads the last real token by mask, and padding changes nothing."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PrefixTuningConfig, PromptTuningConfig, get_peft_model
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2Model,
    LlamaConfig,
    LlamaForSequenceClassification,
)

from rlhf_compare.errors import RecipeError
from rlhf_compare.models.heads import Pooling, ScalarHeadModel
from rlhf_compare.tensors.padding import pad_sequences, to_left

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


# --- where a score is read


def bert(**fields: object) -> BertModel:
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=11, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=32, pad_token_id=0, initializer_range=0.5,
        **fields,
    )  # fmt: skip
    return BertModel(config)


@pytest.mark.parametrize("pooling", ["last", "first", "mean"])
@pytest.mark.parametrize("backbone", ["gpt2", "bert"])
def test_each_reading_of_each_kind_of_backbone(
    model: ScalarHeadModel, backbone: str, pooling: Pooling, tmp_path: Path
) -> None:
    """By hand from plain transformers, one unpadded sequence at a time; then padded on both sides;
    then saved and loaded."""
    body = model.backbone if backbone == "gpt2" else bert()
    model = ScalarHeadModel(body, init_std=1.0, pooling=pooling).eval()
    expected = []
    for sequence in SEQUENCES:
        hidden = body(torch.tensor([sequence])).last_hidden_state[0]
        state = {"last": hidden[-1], "first": hidden[0], "mean": hidden.mean(0)}[pooling]
        expected.append(state @ model.head.weight[0])
    for side in ("right", "left"):
        ids, mask = pad_sequences(SEQUENCES, EOS, side)  # type: ignore[arg-type]
        scores = model.scores(ids, mask)
        torch.testing.assert_close(scores, torch.stack(expected), rtol=1e-4, atol=1e-5)
    model.save_pretrained(tmp_path)
    again = ScalarHeadModel.from_pretrained(tmp_path).eval()
    assert again.pooling == pooling and type(again.backbone) is type(body)
    torch.testing.assert_close(again.scores(ids, mask), scores)


def test_the_first_token_of_an_encoder_has_seen_the_whole_text() -> None:
    """What makes `first` a reading at all: of a causal model it would be blind."""
    encoder = ScalarHeadModel(bert(), init_std=1.0, pooling="first").eval()
    a, b = (
        encoder.scores(torch.tensor([s]), torch.ones(1, 3).bool()) for s in ([1, 2, 3], [1, 2, 4])
    )
    assert float((a - b).detach().abs()) > 1e-3


def test_padding_moved_to_the_right_keeps_the_order_of_tokens() -> None:
    mask = torch.tensor([[0, 0, 1, 1, 0, 1], [1, 1, 0, 0, 0, 0]]).bool()
    order = to_left(mask)
    assert order is not None
    assert order.tolist() == [[2, 3, 5, 0, 1, 4], [0, 1, 2, 3, 4, 5]]
    assert to_left(torch.tensor([[1, 1, 0], [1, 0, 0]]).bool()) is None


# --- as a standard sequence classifier


@pytest.mark.parametrize("pad", [EOS, 0])
def test_a_saved_last_head_is_a_transformers_classifier_with_equal_scores(
    model: ScalarHeadModel, pad: int, tmp_path: Path
) -> None:
    model.config.pad_token_id = pad
    model.save_pretrained(tmp_path)
    classifier = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    ids, mask = pad_sequences(SEQUENCES, pad, "right")
    scores = model.scores(ids, mask)
    alone = torch.cat([classifier(torch.tensor([s])).logits[:, 0] for s in SEQUENCES])
    torch.testing.assert_close(alone, scores, rtol=1e-5, atol=1e-6)
    if pad == EOS:  # refused, where it would have read the token before EOS
        with pytest.raises(ValueError, match="no padding token"):
            classifier(ids, attention_mask=mask.long())
    else:
        batch = classifier(ids, attention_mask=mask.long()).logits[:, 0]
        torch.testing.assert_close(batch, scores, rtol=1e-5, atol=1e-6)
    assert model.config.pad_token_id == pad  # saving changed nothing in memory


def test_other_readings_are_saved_as_backbones(model: ScalarHeadModel, tmp_path: Path) -> None:
    model.pooling = "mean"
    model.save_pretrained(tmp_path / "mean")
    ScalarHeadModel(bert(), pooling="first").save_pretrained(tmp_path / "first")
    assert isinstance(AutoModel.from_pretrained(tmp_path / "mean"), GPT2Model)
    assert isinstance(AutoModel.from_pretrained(tmp_path / "first"), BertModel)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("config", [PromptTuningConfig, PrefixTuningConfig])
def test_learnt_prompts_are_never_taken_for_layers(config: Any, seed: int) -> None:
    """Whatever their first values are: a classifier read without them scores another thing."""
    torch.manual_seed(seed)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    classifier = LlamaForSequenceClassification(
        LlamaConfig(vocab_size=64, num_attention_heads=2, pad_token_id=0, num_labels=1, **sizes)
    )
    adapted = get_peft_model(classifier, config(task_type="SEQ_CLS", num_virtual_tokens=2))
    with pytest.raises(ValueError, match="its own forward scores"):
        ScalarHeadModel.from_classifier(adapted)
