"""Planted truths, from numbers per prompt to the page's first sentence. MADE-UP NUMBERS in stages
that nothing trained."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rlhf_compare.collect import collect_results
from rlhf_compare.evaluation.stage import read_measurement
from rlhf_compare.finished import Finished
from rlhf_compare.recipe import load_recipe
from rlhf_compare.reporting.schema import Results
from rlhf_compare.reporting.verdict import verdict
from rlhf_compare.runs.files import write_json
from rlhf_compare.runs.identity import Stage

from .test_collect import LEDGER, RECIPE, Made

OTHER = "variants: {dpo_other: {method: dpo, settings: {beta: 0.3}}}\n"
PROMPTS = 40
KL = "kl_to_reference.exact"


class Planted(Made):
    """DPO and a variant of it, which stands for a second method."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        (root / "made_up.yaml").write_text(RECIPE + OTHER, encoding="utf-8")
        self.recipe = load_recipe(root / "made_up.yaml", ())
        write_json(self.stage("data") / "ledger.json", LEDGER)
        write_json(self.stage("sft", update=4.0) / "model_size.json", {"parameters": 7})

    def run(self, method: str, seed: int, adoption: float, kl: float) -> Stage:
        """A run with this adoption and KL, a little different from prompt to prompt and seed to
        seed; exactly those of SFT where the KL is 0."""
        if method != "sft":
            self.stage(f"{method}-{seed}", update=6.0 + 0.1 * seed)
        noise = np.random.default_rng(seed).normal(0.0, 0.002, PROMPTS) if kl else np.zeros(PROMPTS)
        stage = self.evaluation(method, seed, (adoption + noise).tolist())
        measured = read_measurement(stage.directory).per_prompt
        measured[KL] = (kl * (1.0 + noise)).tolist()
        measured["base_rate"] = [0.05] * PROMPTS
        values = {"per_prompt": measured, "answers": [], "samples": []}
        write_json(stage.directory.path / "measurement.json", values)
        return stage

    def results(
        self,
        first: dict[int, tuple[float, float]],
        second: dict[int, tuple[float, float]],
        failed: Sequence[int] = (),
    ) -> Results:
        runs = {"dpo": first, "dpo_other": second}
        seeds = sorted({*first, *second})
        evaluations = {
            "sft": {seed: self.run("sft", seed, 0.05, 0.0) for seed in seeds},
            **{
                name: {seed: self.run(name, seed, *at) for seed, at in by_seed.items()}
                for name, by_seed in runs.items()
            },
        }
        finished = Finished(
            recipe=self.recipe, evaluations=evaluations, stages=self.stages, failed={}, reasons={}
        )
        if failed:
            why = {"dpo_other": "the loss is nan"}
            finished = replace(finished, failed={"dpo_other": list(failed)}, reasons=why)
        return collect_results(finished, "test")


@pytest.fixture
def planted(tmp_path: Path) -> Planted:
    return Planted(tmp_path)


GOOD, BETTER = (0.8, 4.0), (0.9, 4.0)


def test_half_of_the_seeds_failed(planted: Planted) -> None:
    """The better of the two by its numbers; half of its runs gave none."""
    results = planted.results(dict.fromkeys(range(4), GOOD), dict.fromkeys((0, 1), BETTER), (2, 3))
    found = verdict(results)
    assert "DPO can be recommended (exact adoption 0.800)" in found.answer
    assert "DPO other failed in 2 of 4 runs" in found.answer
    assert "over the seeds that it shares" in " ".join(found.rest)
    pairs = {
        (row.a, row.b): row.difference.seeds
        for row in results.comparisons
        if row.metric == "adoption.exact" and row.difference is not None
    }
    assert pairs == {("dpo", "dpo_other"): 2, ("dpo", "sft"): 4, ("dpo_other", "sft"): 2}


def test_a_run_at_90_nats(planted: Planted) -> None:
    """Its adoption is higher, and 90 nats are over ten times log(1 / 0.05) = 3 nats."""
    seeds = range(3)
    results = planted.results(dict.fromkeys(seeds, GOOD), dict.fromkeys(seeds, (0.95, 90.0)))
    assert results.methods["dpo_other"].runs.collapsed == 3
    found = verdict(results)
    assert found.answer.startswith("Only DPO can be recommended")
    assert "DPO other collapsed in 3 of 3 runs" in found.answer
    assert "DPO other moved further" not in found.text


def test_a_policy_that_is_the_reference(planted: Planted) -> None:
    seeds = range(3)
    results = planted.results(dict.fromkeys(seeds, GOOD), dict.fromkeys(seeds, (0.05, 0.0)))
    found = verdict(results)
    assert found.answer == (
        "Only DPO can be recommended (exact adoption 0.800): DPO other did not move from the SFT "
        "model (exact KL 0.000 nats)."
    )


def test_no_seed_in_common(planted: Planted) -> None:
    results = planted.results({0: GOOD, 1: GOOD}, {2: BETTER, 3: BETTER})
    found = verdict(results)
    assert found.answer.startswith("No verdict: these results hold no paired difference between")
    assert "neither is called higher" in found.bullets[0]


def test_two_equal_methods(planted: Planted) -> None:
    seeds = range(5)
    results = planted.results(dict.fromkeys(seeds, GOOD), dict.fromkeys(seeds, GOOD))
    assert verdict(results).answer.startswith("No difference shown between DPO and DPO other")


def test_a_better_method_is_found(planted: Planted) -> None:
    seeds = range(3)
    results = planted.results(dict.fromkeys(seeds, GOOD), dict.fromkeys(seeds, BETTER))
    assert verdict(results).answer.startswith("DPO other adopts further (0.900 against 0.800)")
