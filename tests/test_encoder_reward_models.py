"""A whole run whose reward model is an encoder, not the SFT model with a head."""

import json
from pathlib import Path

import pytest
from transformers import AutoModel, BertConfig, BertModel, BertTokenizer

from rlhf_compare.pipeline import Pipeline
from rlhf_compare.recipe import load_recipe
from tests.micro_recipe import RECIPE, collected


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("encoders")


@pytest.fixture(scope="module")
def recipe_file(root: Path) -> Path:
    path = root / "micro.yaml"
    path.write_text(RECIPE)
    return path


def test_a_reward_model_from_a_configuration_needs_no_sft(recipe_file: Path, root: Path) -> None:
    backbone = "{model_type: bert, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, "
    backbone += "intermediate_size: 32}"
    lines: list[str] = []
    overrides = [f"reward.backbone={backbone}", "reward.pooling=first"]
    overrides += ["reward.early_stopping_patience=1", "reward.num_train_epochs=2"]
    pipeline = Pipeline(load_recipe(recipe_file, overrides), root / "bert", say=lines.append)
    pipeline.check()
    stage = pipeline.reward(0)
    assert sorted(path.name for path in (root / "bert" / "micro").iterdir()) == ["data", "reward-0"]
    assert isinstance(AutoModel.from_pretrained(stage.directory.model), BertModel)
    record = json.loads((stage.directory.path / "training.json").read_text())
    assert record["best_evaluation"] in (0, 1) and record["evaluations"][0]["epoch"] == 1.0


def test_ppo_and_evaluation_ask_an_encoder_with_its_own_tokenizer_for_texts(
    recipe_file: Path, root: Path
) -> None:
    """An encoder saved with a WordPiece tokenizer, as BERT is: cls and sep, no EOS token."""
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz#:.?"]
    vocabulary += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    own = BertTokenizer(vocab={word: index for index, word in enumerate(vocabulary)})
    encoder = root / "encoder"
    own.save_pretrained(encoder)
    config = BertConfig(
        vocab_size=len(own), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=400,
    )  # fmt: skip
    BertModel(config).save_pretrained(encoder)
    overrides = [f"reward.backbone={encoder}", "reward.pooling=first", "data.judge_share=0"]
    pipeline = Pipeline(load_recipe(recipe_file, overrides), root / "own", say=lambda line: None)
    results = collected(pipeline, pipeline.compare(("sft", "ppo"), (0,)))
    proxy = results["methods"]["ppo"]["reward"]["proxy"]
    assert proxy is not None and results["methods"]["ppo"]["reward"]["held_out"] is None
