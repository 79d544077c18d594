"""Faults that are planted, and the words in which the page names them.

The measurements are made by hand; what is done with them is the product's own way from a stage's
files to the sentences of the page.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlhf_compare.collect import collect_results
from rlhf_compare.data.config import DataConfig
from rlhf_compare.data.selection import RowIndex, choose_sides
from rlhf_compare.data.splits import split_hash
from rlhf_compare.evaluation.measure import Measurement
from rlhf_compare.evaluation.summary import compare
from rlhf_compare.finished import Finished
from rlhf_compare.pipeline import Pipeline
from rlhf_compare.recipe import load_recipe
from rlhf_compare.reporting.caveats import caveats
from rlhf_compare.reporting.results import parse_results
from rlhf_compare.reporting.schema import Results
from rlhf_compare.reporting.verdict import verdict
from rlhf_compare.reward.checks import accuracy_check
from rlhf_compare.reward.pair_gaps import PairGaps
from rlhf_compare.runs.files import read_json, write_json

from .micro_recipe import RECIPE
from .reporting.conftest import _data, changed, plain, reward_model
from .test_collect import Made, finished, made

__all__ = ["finished", "made"]  # fixtures
_PROMPTS = 40
_RNG = np.random.default_rng(0)
SFT = {
    "adoption.exact": _RNG.uniform(0.02, 0.06, _PROMPTS),
    "base_rate": np.full(_PROMPTS, 0.04),
    "kl_to_reference.exact": np.zeros(_PROMPTS),
    "eos_rate": np.full(_PROMPTS, 0.99),
    "length": np.full(_PROMPTS, 20.0),
}


def plant(made: Made, finished: Finished, **columns: Mapping[str, np.ndarray]) -> Results:
    """The results of stages whose measurements hold these columns, by method and seed:
    ``dpo_0={...}``; the rest is SFT's."""
    evaluations = {}
    for method, by_seed in finished.evaluations.items():
        evaluations[method] = by_seed
        for seed, stage in by_seed.items():
            own = columns.get(f"{method}_{seed}", columns.get(method, {}))
            path = stage.directory.path / "measurement.json"
            values = read_json(path)
            values["per_prompt"] = {k: list(map(float, v)) for k, v in {**SFT, **own}.items()}
            write_json(path, values)
    return collect_results(replace(finished, evaluations=evaluations), "the command")


def words(results: Results) -> str:
    return " ".join([*verdict(results), *caveats(results)])


def moved(kl: float) -> dict[str, np.ndarray]:
    return {
        "adoption.exact": _RNG.uniform(0.9, 0.99, _PROMPTS),
        "kl_to_reference.exact": _RNG.normal(kl, 0.1 * kl, _PROMPTS),
    }


def test_a_policy_that_is_the_reference_did_not_move(made: Made, finished: Finished) -> None:
    said = words(plant(made, finished))
    assert "DPO did not move: its KL to the SFT model" in said
    assert "did not move" not in words(plant(made, finished, dpo=moved(5.0)))


@pytest.mark.slow
def test_a_method_that_was_trained_at_a_rate_of_nothing_did_not_move(tmp_path: Path) -> None:
    """The same, by training: whoever learns at rate 0 is the reference to the last digit."""
    (tmp_path / "micro.yaml").write_text(RECIPE)
    recipe = load_recipe(tmp_path / "micro.yaml", ["dpo.learning_rate=0", "ppo=null"])
    pipeline = Pipeline(recipe, tmp_path / "runs", say=lambda _: None)
    evaluations = pipeline.compare(recipe.methods, [0])
    results = collect_results(pipeline.finished(evaluations), "the command")
    assert results.methods["dpo"].value("kl_to_reference.exact") == 0.0
    assert "DPO did not move" in words(results)


def test_a_policy_that_is_the_reference_wins_nothing() -> None:
    still = {seed: Measurement(per_prompt={k: list(v) for k, v in SFT.items()}, answers=[])
             for seed in range(3)}  # fmt: skip
    rows = compare({"sft": still, "ppo": still, "dpo": still})
    assert rows and not [row for row in rows if row["verdict"].endswith("higher")]


def test_a_run_at_ninety_nats_is_collapsed(made: Made, finished: Finished) -> None:
    results = plant(made, finished, dpo_0=moved(5.0), dpo_1=moved(90.0))
    assert "DPO: 2 runs completed, 0 failed, 1 collapsed;" in words(results)
    results = plant(made, finished, dpo=moved(5.0))
    assert "collapsed" not in " ".join(verdict(results))


def test_a_start_that_was_not_taught_to_end_is_named(made: Made, finished: Finished) -> None:
    endless = {"eos_rate": np.full(_PROMPTS, 0.02), "length": np.full(_PROMPTS, 64.0)}
    results = plant(made, finished, sft=endless, dpo={**moved(5.0), **endless})
    assert "The SFT model ends 0.020" in words(results)
    assert "do not end in the end token" in words(results)
    assert "The SFT model ends" not in words(plant(made, finished, dpo=moved(5.0)))


def test_seeds_that_failed_are_counted_and_named(made: Made, finished: Finished) -> None:
    """Half of four seeds: the numbers are those of the seeds that are left."""
    half = replace(finished, failed={"dpo": [2, 3]}, reasons={"dpo": "the loss is NaN at step 3"})
    said = words(plant(made, half, dpo=moved(5.0)))
    assert "DPO: 2 runs completed, 2 failed, 0 collapsed;" in said
    assert "DPO failed under seeds 2, 3: the loss is NaN at step 3" in said


def test_shuffled_labels_of_the_reward_model_are_found_and_named() -> None:
    """Whoever won is a coin's choice: the doctor fails the model, and the page says so of the
    method that was trained against it."""
    scores = np.random.default_rng(1).normal(0.0, 1.0, 200)
    told = PairGaps(np.abs(scores) + 0.1, np.arange(200))
    shuffled = PairGaps(scores, np.arange(200))
    assert accuracy_check(told).verdict == "ok"
    found = accuracy_check(shuffled)
    assert found.verdict == "fail"
    page = parse_with(found)
    assert "The reward model that PPO trained against failed" in words(page)
    assert "held out accuracy" in words(page)


def parse_with(check: Any) -> Results:
    """Made-up results whose reward model has this one check."""
    model = plain(reward_model())
    fields = ("name", "value", "low", "high", "verdict", "sentence")
    model["checks"] = [{field: getattr(check, field) for field in fields}]
    return changed(parse_results(plain(_data())), {"reward_models": [model]})


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_a_prompt_written_otherwise_does_not_leak_to_the_other_side(share: float) -> None:
    """Each prompt four times: another case, other blanks."""
    base = [f"What is thing {i}?" for i in range(60)]
    ways = (str, str.upper, lambda t: f"  {t}\n", lambda t: t.replace(" ", "   "))
    prompts = [way(prompt) for way in ways for prompt in base]
    keys = np.array([split_hash(prompt) for prompt in prompts], np.uint64)
    zeros = np.zeros(len(keys), np.uint8)
    index = RowIndex(zeros, keys, keys, keys, keys, keys, zeros.copy())
    choose_sides(index, DataConfig(eval_share=share), ())
    sides = {
        held: {
            " ".join(p.lower().split())
            for p, h in zip(prompts, index.held_out, strict=True)
            if h == held
        }
        for held in (True, False)
    }
    assert sides[True] and sides[False] and not sides[True] & sides[False]
