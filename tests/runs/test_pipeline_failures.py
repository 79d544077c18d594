"""What fails in a pipeline is one seed's, and reaches no weight of another."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from rlhf_compare.collect import collect_results
from rlhf_compare.errors import StageFailedError
from rlhf_compare.pipeline import Pipeline
from rlhf_compare.recipe import load_recipe
from rlhf_compare.reporting.caveats import caveats
from rlhf_compare.runs.context import StageContext

# --- the pipeline


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runner")


def pipeline_of(recipe_file: Path, root: Path, lines: list[str], *overrides: str) -> Pipeline:
    return Pipeline(load_recipe(recipe_file, overrides), root, say=lines.append)


def test_one_method_and_all_methods_take_each_others_measurements(
    recipe_file: Path, root: Path
) -> None:
    pipeline_of(recipe_file, root, []).compare(("sft", "ppo", "dpo"), (0,))
    for methods, reward in ((("sft", "dpo"), False), (("sft", "ppo"), True)):
        for again in (methods, ("sft", "ppo", "dpo")):
            lines: list[str] = []
            pipeline_of(recipe_file, root, lines).compare(again, (0,), reward or again != methods)
            assert lines and all("kept" in line for line in lines)


def test_a_method_that_fails_leaves_the_others_and_the_page(recipe_file: Path, root: Path) -> None:
    lines: list[str] = []
    broken = ("dpo.learning_rate=1e9", "dpo.max_grad_norm=0")
    pipeline = pipeline_of(recipe_file, root, lines, *broken)
    evaluations = pipeline.compare(("sft", "dpo", "ppo"), (0,))
    assert list(evaluations) == ["sft", "ppo"] and pipeline.failed == {"dpo": [0]}
    file = root / "micro" / "dpo-0" / "error.txt"
    (line,) = [line for line in lines if "failed" in line]
    assert line.startswith("dpo, seed 0 failed: ") and str(file) in line
    assert "StageFailedError" in file.read_text()
    results = collect_results(pipeline.finished(evaluations), "test")
    assert results.failures[0].method == "dpo" and list(results.methods) == ["sft", "ppo"]


def test_an_error_of_ours_is_a_failed_seed_too(
    recipe_file: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise IndexError("out of range")

    monkeypatch.setattr("rlhf_compare.ppo.stage.PPOTrainer", fail)
    pipeline = pipeline_of(recipe_file, root, [], "ppo.kl_coef=0.3")
    assert list(pipeline.compare(("sft", "ppo"), (0,))) == ["sft"]
    assert "IndexError: out of range" in pipeline.reasons["ppo"]


def test_a_lost_reward_model_is_no_failure_of_the_others(
    recipe_file: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fail(*_: Any, **__: Any) -> None:
        calls.append(1)
        raise StageFailedError("the loss is nan")

    monkeypatch.setattr("rlhf_compare.rewards.train_reward", fail)
    pipeline = pipeline_of(recipe_file, root, [], "reward.learning_rate=0.1")
    evaluations = pipeline.compare(("sft", "ppo", "dpo"), (0,))
    assert list(evaluations) == ["sft", "dpo"] and calls == [1]
    results = collect_results(pipeline.finished(evaluations), "test")
    (note,) = [note for note in caveats(results) if "nan" in note]
    assert note.startswith(
        "PPO failed under seed 0 and is not in the tables: reward-0 failed first, and ppo needs "
        "it: the loss is nan; the traceback is in "
    )


def test_a_measurement_that_fails_is_not_called_a_training_that_failed(
    recipe_file: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(context: StageContext, *_: Any, **__: Any) -> None:
        if context.name == "evaluate-dpo":
            raise StageFailedError("no answer")

    monkeypatch.setattr("rlhf_compare.pipeline.evaluate_policy", fail)
    pipeline = pipeline_of(recipe_file, root, [], "evaluation.max_prompts=5")
    pipeline.compare(("sft", "dpo"), (0,))
    assert pipeline.reasons["dpo"].startswith(
        "it was trained, but evaluate-dpo-0 failed: no answer"
    )


def test_tokens_are_those_trained_on(recipe_file: Path, root: Path) -> None:
    pipeline = pipeline_of(recipe_file, root, [], "sft.max_steps=2", "sft.logging_steps=1")
    stage = pipeline.sft()
    cost = json.loads((stage.directory.path / "cost.json").read_text())
    logged = [
        json.loads(line)
        for line in (stage.directory.path / "metrics.jsonl").read_text().splitlines()
    ]
    assert cost["tokens"]["trained"] == max(row.get("num_tokens", 0) for row in logged) > 0


# --- gradients


@pytest.mark.parametrize("stage", ["sft", "reward", "ppo", "dpo"])
@pytest.mark.parametrize("clip", ["0", "1.0"])
def test_a_gradient_that_is_not_finite_reaches_no_weight(
    recipe_file: Path, root: Path, stage: str, clip: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss is finite and one gradient is not, at the second step."""
    stepped: list[bool] = []
    original = torch.optim.AdamW.step

    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        stepped.append(
            all(
                bool(torch.isfinite(p.grad).all())
                for group in self.param_groups
                for p in group["params"]
                if p.grad is not None
            )
        )
        done = original(self, *args, **kwargs)
        first = self.param_groups[0]["params"][0]
        if first.grad is not None:
            first.register_hook(lambda grad: torch.full_like(grad, float("nan")))
        return done

    pipeline = pipeline_of(recipe_file, root, [], f"{stage}.max_grad_norm={clip}")
    if stage != "sft":
        pipeline.sft()
    if stage == "ppo":
        pipeline.reward(0)
    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    with pytest.raises(StageFailedError, match=r"gradient norm is nan .*no step was taken"):
        shared = {"sft": pipeline.sft, "reward": partial(pipeline.reward, 0)}
        shared.get(stage, partial(pipeline.method, stage, 0))()
    assert stepped and all(stepped)


@pytest.mark.parametrize("rate", ["1e9", "1e38"])
def test_a_probe_on_a_policy_that_is_not_finite_says_so(
    recipe_file: Path, root: Path, rate: str
) -> None:
    steep = (f"dpo.learning_rate={rate}", "dpo.max_grad_norm=0", "evaluation.during_training=10")
    with pytest.raises(StageFailedError, match=r"the policy is (NaN|infinite) at step 1 \("):
        pipeline_of(recipe_file, root, [], *steep).method("dpo", 0)
