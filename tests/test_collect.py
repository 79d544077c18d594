"""What is collected from finished stages. MADE-UP NUMBERS in stages that nothing trained."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rlhf_compare.collect import collect_results
from rlhf_compare.finished import Finished
from rlhf_compare.recipe import load_recipe
from rlhf_compare.reporting.results import ResultsError
from rlhf_compare.runs.directory import RunDirectory
from rlhf_compare.runs.files import write_json
from rlhf_compare.runs.identity import Stage

RECIPE = """
name: made_up
data: {source: embedded}
model: {vocab_size: 320, config: {model_type: gpt2}}
sft: {}
dpo: {}
tracking: {wandb: disabled}
"""
LEDGER = {
    "read": 10,
    "kept": 9,
    "dropped": {"empty": 1},
    "named": {"empty": ["line 3"]},
    "train_rows": 5,
    "eval_rows": 4,
    "eval_prompts": 4,
    "feeds": {"rankings": 5},
    "responses": {"read": 18, "kept": 18, "too_long": 0},
    "pairs": 9,
    "ties": 0,
}
MAKER = {
    "commit": "a" * 40,
    "dirty": False,
    "code": {"models": "1"},
    "versions": {"trl": "1.16.0"},
    "device": {"kind": "cpu", "name": "made-up CPU", "clock": "wall"},
}


class Made:
    """Stages made by hand under one root."""

    def __init__(self, root: Path) -> None:
        (root / "made_up.yaml").write_text(RECIPE, encoding="utf-8")
        self.recipe = load_recipe(root / "made_up.yaml", ())
        self.root = root
        self.stages: dict[str, Stage] = {}

    def stage(self, label: str, lost: float = 0.0, **phases: float) -> Path:
        """A stage that took its phases and 1 s that no phase claims."""
        directory = RunDirectory(self.root / label)
        directory.path.mkdir()
        name = label.rpartition("-")[0] or label
        inputs = {"source": "f" * 64, "model": {"config": {}}}
        recipe = {"model": {"config": {}}}
        record = {"stage": name, "recipe": recipe, "inputs": inputs, "provenance": MAKER}
        directory.write_record(record)
        self.cost(label, {"total": sum(phases.values()) + 1.0, "phases": phases}, lost)
        self.stages[label] = Stage(directory, "0" * 64)
        return directory.path

    def cost(self, label: str, seconds: dict[str, Any], lost: float = 0.0, **more: Any) -> None:
        rest = {"clock": "wall", "peak_memory_bytes": 100, "tokens": {"trained": 50}, **more}
        lost_seconds = {"lost_to_interruptions": lost}
        write_json(self.root / label / "cost.json", {**seconds, **rest, **lost_seconds})

    def evaluation(self, method: str, seed: int, adoption: Sequence[float]) -> Stage:
        label = f"evaluate-{method}-{seed}"
        columns = {
            "adoption.exact": list(adoption),
            "eos_rate": [1.0] * len(adoption),
            "length": [8.0 + seed] * len(adoption),
        }
        samples = [["prompt", f"{method} under seed {seed}"]]
        values = {"per_prompt": columns, "answers": [], "samples": samples}
        write_json(self.stage(label, evaluate=2.0) / "measurement.json", values)
        return self.stages[label]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    made = Made(tmp_path)
    write_json(made.stage("data") / "ledger.json", LEDGER)
    write_json(made.stage("sft", update=4.0) / "model_size.json", {"parameters": 7})
    made.stage("dpo-0", update=6.0, evaluate=2.0)  # 9 s, 7 of them charged
    made.stage("dpo-1", update=10.0, evaluate=4.0)  # 15 s, 11 of them charged
    return made


@pytest.fixture
def finished(made: Made) -> Finished:
    evaluations = {
        "sft": {seed: made.evaluation("sft", seed, [0.5] * 4) for seed in (0, 1)},
        "dpo": {0: made.evaluation("dpo", 0, [0.9] * 4), 1: made.evaluation("dpo", 1, [0.1] * 4)},
    }
    return Finished(
        recipe=made.recipe, evaluations=evaluations, stages=made.stages, failed={}, reasons={}
    )


def test_a_path_is_charged_for_training_alone_as_a_mean_over_seeds(finished: Finished) -> None:
    results = collect_results(finished, "the command")
    cost = results.methods["dpo"].cost
    assert list(cost.stages) == ["sft", "dpo"]
    assert cost.stages["sft"].total == 5.0
    assert cost.stages["dpo"].total == (7.0 + 11.0) / 2
    assert cost.stages["dpo"].phases == {"update": 8.0}
    assert results.methods["dpo"].value("cost.device_seconds.path_total") == 14.0
    assert results.methods["sft"].value("cost.device_seconds.path_total") == 5.0
    assert results.provenance.command == "the command"


def test_memory_is_the_most_of_a_path_and_tokens_are_summed_along_it(
    made: Made, finished: Finished
) -> None:
    seconds = {"total": 1.0, "phases": {}}
    for seed, peak, padding in ((0, 300, 10), (1, 200, 30)):
        tokens = {"trained": 60 + 40 * seed, "padding": padding}
        made.cost(f"dpo-{seed}", seconds, peak_memory_bytes=peak, tokens=tokens)
    dpo = collect_results(finished, "").methods["dpo"]
    assert dpo.value("cost.peak_memory_bytes") == 300
    assert dpo.value("cost.tokens.trained") == 50 + (60 + 100) / 2
    assert dpo.value("cost.padding_share") == 40 / (40 + 160)
    assert dpo.value("cost.tokens.generated") == 0


def test_padding_that_one_seed_did_not_count_is_not_measured(
    made: Made, finished: Finished
) -> None:
    made.cost("dpo-0", {"total": 1.0, "phases": {}}, tokens={"trained": 1, "padding": 1})
    assert collect_results(finished, "").methods["dpo"].value("cost.padding_share") is None


def test_how_the_runs_ended(finished: Finished) -> None:
    """Under seed 1 DPO lost 0.4 of SFT's 0.5."""
    failed = replace(finished, failed={"dpo": [2, 3]}, reasons={"dpo": "the loss is nan"})
    results = collect_results(failed, "")
    runs = results.methods["dpo"].runs
    assert (runs.completed, runs.failed, runs.collapsed) == (2, 2, 1)
    (failure,) = results.failures
    assert (failure.method, failure.seeds, failure.reason) == ("dpo", [2, 3], "the loss is nan")


@pytest.mark.parametrize(("seed", "collapsed"), [(0, 0), (1, 1)])
def test_a_run_is_held_against_sft_under_its_own_seed(
    finished: Finished, seed: int, collapsed: int
) -> None:
    dpo = {seed: finished.evaluations["dpo"][seed]}
    one = replace(finished, evaluations={**finished.evaluations, "dpo": dpo})
    methods = collect_results(one, "").methods
    assert methods["dpo"].runs.collapsed == collapsed and methods["sft"].runs.collapsed == 0


def test_methods_are_compared_under_the_seeds_that_all_have(finished: Finished) -> None:
    assert collect_results(finished, "").provenance.seeds == [0, 1]
    dpo = {0: finished.evaluations["dpo"][0]}
    one = collect_results(replace(finished, evaluations={**finished.evaluations, "dpo": dpo}), "")
    assert one.provenance.seeds == [0, 1]  # all that were measured; each estimate says its own
    row = next(row for row in one.comparisons if row.metric == "adoption.exact")
    assert row.difference is not None
    assert row.difference.mean == pytest.approx(0.4) and row.difference.seeds == 1
    assert one.samples[0].answers == {"sft": "sft under seed 0", "dpo": "dpo under seed 0"}


def test_without_a_seed_that_all_have_nothing_is_compared(finished: Finished) -> None:
    evaluations = {
        "sft": {0: finished.evaluations["sft"][0]},
        "dpo": {1: finished.evaluations["dpo"][1]},
    }
    results = collect_results(replace(finished, evaluations=evaluations), "")
    assert results.comparisons == [] and results.provenance.seeds == [0, 1]
    assert results.samples[0].answers == {"sft": "sft under seed 0", "dpo": "dpo under seed 1"}


def test_what_was_measured_must_be_finite(made: Made, finished: Finished) -> None:
    file = made.root / "evaluate-dpo-0" / "measurement.json"
    values = json.loads(file.read_text())
    values["per_prompt"]["length"][2] = float("nan")
    file.write_text(json.dumps(values))
    with pytest.raises(ResultsError, match=r"^\$\.methods\.dpo\.length\.mean: nan is not a finite"):
        collect_results(finished, "")


def test_the_log_of_a_run_becomes_its_probes(made: Made, finished: Finished) -> None:
    """Rows of one step are one point, and what is no probe is left out."""
    rows = [
        {"step": 10, "eval_loss": 0.4, "eval_kl_exact": 2.0},
        {"step": 5, "loss": 0.7, "eval_loss": 0.6},
        {"step": 5, "eval_logratios/chosen": -1.0},
        {"step": 7, "loss": 0.5},
    ]
    log = "".join(json.dumps(row) + "\n" for row in rows)
    (made.root / "dpo-1" / "metrics.jsonl").write_text(log)
    (run,) = collect_results(finished, "").methods["dpo"].training
    assert run.seed == 1 and [point.step for point in run.points] == [5, 10]
    first, last = run.points
    assert first.value("held_out_loss") == 0.6 and first.value("logratio_chosen") == -1.0
    assert first.value("kl_exact") is None and last.value("kl_exact") == 2.0


def test_a_run_begins_at_the_sft_model_and_pays_for_the_stages_before_it(
    made: Made, finished: Finished
) -> None:
    rows = [
        {"step": 0, "eval_seconds": 1.5, "eval_samples": 0},
        {"step": 5, "eval_kl_exact": 2.0, "eval_base_rate": 0.25, "eval_adoption_exact": 0.5}
        | {"eval_seconds": 3.0, "eval_samples": 40},
    ]
    for seed in (0, 1):
        log = "".join(json.dumps(row) + "\n" for row in rows[1 - seed :])
        (made.root / f"dpo-{seed}" / "metrics.jsonl").write_text(log)
    older, run = collect_results(finished, "").methods["dpo"].training
    names = ("step", "adoption_exact", "kl_exact", "seconds", "samples")
    points = [[getattr(point, name) for name in names] for point in run.points]
    assert points == [[0, 0.25, 0.0, 1.5, 0], [5, 0.5, 2.0, 3.0, 40]]
    assert run.before == {"sft": 5.0}  # 4 s and 1 s in no phase
    assert [point.step for point in older.points] == [5]  # without a start nothing is made up


def test_seconds_of_every_seed_are_kept(finished: Finished) -> None:
    spent = collect_results(finished, "").methods["dpo"].cost.device_seconds
    assert spent is not None
    assert spent.stages["sft"].by_seed == [5.0] and spent.stages["dpo"].by_seed == [7.0, 11.0]
    assert spent.by_seed() == [12.0, 16.0]


def test_lost_seconds_are_in_no_cost_and_less_than_one_is_not_named(
    made: Made, finished: Finished
) -> None:
    made.cost("dpo-0", {"total": 7.0, "phases": {}}, lost=12.5)
    made.cost("dpo-1", {"total": 7.0, "phases": {}}, lost=0.9)
    results = collect_results(finished, "")
    assert results.provenance.lost_to_interruptions == {"dpo-0": 12.5}
    assert results.methods["dpo"].cost.stages["dpo"].total == 7.0
