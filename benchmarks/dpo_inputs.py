"""Pairs, tokenizer and weights for the systems of ``dpo_vs_trl``, from fixed seeds."""

from pathlib import Path
from typing import Any

import torch

from rlhf_compare.data.prepare import prepare
from rlhf_compare.data.views import pairs_view
from rlhf_compare.models.policy import build_policy
from rlhf_compare.models.tokenizer import get_tokenizer
from rlhf_compare.recipe import load_recipe

_RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "tiny.yaml"


def ensure_pairs(root: Path) -> Path:
    """Directory with ``pairs/`` (prompt_ids, chosen_ids, rejected_ids), ``tokenizer/`` and
    ``policy/``: the embedded corpus under tiny's recipe, and tiny's model before any training."""
    directory = root / "dpo-tiny"
    if (directory / "policy" / "config.json").is_file():
        print(f"{directory}: pairs and weights of an earlier run")
        return directory
    print(f"{directory}: encoding the corpus, drawing weights from seed 0 ...")
    recipe, made = load_recipe(_RECIPE), {}

    def tokenizer(texts: Any) -> Any:
        made["tokenizer"] = get_tokenizer(recipe.model, texts)
        return made["tokenizer"]

    prepared = prepare(recipe.data, recipe.task, tokenizer)
    pairs_view(prepared.train, recipe.data.pairs).save_to_disk(str(directory / "pairs"))
    made["tokenizer"].save_pretrained(directory / "tokenizer")
    torch.manual_seed(0)
    build_policy(recipe.model, made["tokenizer"]).save_pretrained(directory / "policy")  # last
    return directory
