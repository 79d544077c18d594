"""The best-of-n stage of a recipe: it trains nothing and writes down which models answer."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rlhf_compare.best_of_n.config import BestOfNConfig, BestOfNSection
from rlhf_compare.best_of_n.sampler import BestOfNSampler
from rlhf_compare.errors import StageFailedError
from rlhf_compare.models.policy import load_policy
from rlhf_compare.models.sampler import Sampler
from rlhf_compare.models.scoring import Scorer, load_reward
from rlhf_compare.models.tokenizer import load_tokenizer
from rlhf_compare.runs.arguments import StageSection
from rlhf_compare.runs.context import StageContext
from rlhf_compare.runs.directory import RunDirectory
from rlhf_compare.runs.files import read_json, write_json
from rlhf_compare.runs.method import Method, MethodInputs

_FILE = "best_of_n.json"
_SCORED = 32  # responses per forward of the reward model


def best_of_n_settings(section: StageSection, *_: Any) -> BestOfNConfig:
    """The recipe's settings; where nothing trains, they depend on nothing else."""
    return BestOfNConfig(**section.set_fields())


def write_choice(context: StageContext, section: StageSection, inputs: MethodInputs) -> None:
    """Write down what answers: the settings, and the SFT model and the reward model by their place
    relative to the stage's directory, so that the run root may move as a whole."""
    models = {"sft": inputs.sft_model, "reward": inputs.reward}
    places = {name: _place(path, context.directory.path) for name, path in models.items()}
    write_json(context.directory.path / _FILE, {**asdict(best_of_n_settings(section)), **places})


def _place(model: Path, stage: Path) -> dict[str, str | None]:
    """Where a model lies, and of which run of its stage it is."""
    path = os.path.relpath(model.resolve(), stage.resolve())
    return {"path": Path(path).as_posix(), "inputs_hash": RunDirectory(model.parent).inputs_hash}


def load_best_of_n(directory: Path, device: str) -> Sampler:
    """What :func:`write_choice` wrote down, ready to answer.

    Raises:
        StageFailedError: another model lies where the SFT or the reward model was.
    """
    chosen = read_json(directory / _FILE)
    sft, reward = (_model(directory, chosen[name]) for name in ("sft", "reward"))
    scorer = Scorer(load_reward(reward, sft, device), load_tokenizer(sft), _SCORED)
    model = load_policy(sft).to(device).eval()
    return BestOfNSampler(model, scorer, chosen["n"], chosen["temperature"])


def _model(directory: Path, place: dict[str, Any]) -> Path:
    model: Path = (directory / place["path"]).resolve()
    if not model.is_dir() or RunDirectory(model.parent).inputs_hash != place["inputs_hash"]:
        raise StageFailedError(
            f"{directory.name} chose with the model in {model}, which is gone or another one by "
            f"now; delete {directory} and run the same command again"
        )
    return model


def _caveats(settings: dict[str, Any]) -> Sequence[str]:
    n = settings.get("n", BestOfNSection.defaults["n"])
    return (
        f"trains nothing and ends in no model: every answer is chosen among {n} sampled ones, so "
        f"each costs {n} times the sampling and {n} scores of the reward model for as long as it "
        "is used, which the cost of its path leaves out.",
    )


METHOD = Method(
    name="best_of_n",
    section=BestOfNSection,
    needs=("sft", "reward"),
    feed=None,
    arguments=best_of_n_settings,
    train=write_choice,
    caveats=_caveats,
    load=load_best_of_n,
)
