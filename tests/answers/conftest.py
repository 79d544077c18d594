"""A trained comparison on a model of a few thousand weights."""

import shutil
from pathlib import Path

import pytest

from rlhf_compare.pipeline import Pipeline
from rlhf_compare.recipe import load_recipe
from tests.micro_recipe import RECIPE

# at rates at which a few steps move a policy, so that its KL is no rounding
_MOVING = (
    RECIPE.replace("ppo:\n", "ppo:\n  learning_rate: 1e-2\n").replace(
        "dpo: {", "dpo: {learning_rate: 1e-2, "
    )
    + "best_of_n: {n: 2}\n"
)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``micro.yaml`` and ``runs/``: under seed 0 all, under seed 3 DPO alone."""
    root = tmp_path_factory.mktemp("ask")
    (root / "micro.yaml").write_text(_MOVING)
    pipeline = Pipeline(load_recipe(root / "micro.yaml"), root / "runs", say=lambda _: None)
    pipeline.judge(0)
    for method, seed in (("ppo", 0), ("dpo", 0), ("best_of_n", 0), ("dpo", 3)):
        pipeline.method(method, seed)
    return root


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A copy, to take stages from."""
    shutil.copy(trained / "micro.yaml", tmp_path)
    shutil.copytree(trained / "runs", tmp_path / "runs")
    return tmp_path
