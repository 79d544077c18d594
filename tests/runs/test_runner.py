"""Directories of stages: set aside and taken back, locked, failed; and what makes a stage anew."""

import json
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from rlhf_compare.collect import collect_results
from rlhf_compare.errors import DataError, RecipeError, StageFailedError, StorageError, UserError
from rlhf_compare.inputs import sft_inputs
from rlhf_compare.pipeline import Pipeline
from rlhf_compare.recipe import load_recipe
from rlhf_compare.reporting.caveats import caveats
from rlhf_compare.runs import fingerprints
from rlhf_compare.runs.config import TrackingConfig
from rlhf_compare.runs.context import StageContext
from rlhf_compare.runs.locks import drop
from rlhf_compare.runs.runner import StageRunner

Run = Callable[..., list[str]]


def write_value(value: int) -> Callable[[StageContext], None]:
    return lambda context: (context.directory.path / "value").write_text(str(value)) and None


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """One stage "a" with one setting, by a runner of its own; returns what was said."""

    def once(value: int, work: Any = None) -> list[str]:
        lines: list[str] = []
        config = TrackingConfig(wandb="disabled")
        runner = StageRunner(tmp_path, {"name": "micro"}, 0, config, lines.append)
        inputs = {"a": {"rate": value, "same": 1}}
        runner.run("a", 0, inputs, work or write_value(value), trains=False)
        return lines

    return once


def value(tmp_path: Path) -> str:
    return (tmp_path / "a-0" / "value").read_text()


def test_another_configuration_sets_the_earlier_one_aside_and_takes_it_back(
    run: Run, tmp_path: Path
) -> None:
    run(1)
    said = run(2)
    (aside,) = tmp_path.glob("a-0.*")
    expected = f"a-0: a.rate 1 -> 2; the earlier one is kept in {aside.name}"
    assert expected in said and len(aside.name) == len("a-0.") + 8
    assert value(tmp_path) == "2" and (aside / "value").read_text() == "1"
    said = run(1, work=lambda _: pytest.fail("run again"))
    assert any("kept" in line for line in said)
    assert f"a-0: taken back from {aside.name}" in said and value(tmp_path) == "1"
    assert len(list(tmp_path.glob("a-0*"))) == 2
    assert any("kept" in line for line in run(2, work=lambda _: pytest.fail("run again")))


def test_a_half_finished_one_is_set_aside_too(run: Run, tmp_path: Path) -> None:
    def stop(context: StageContext) -> None:
        write_value(1)(context)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(1, work=stop)
    run(2)
    (aside,) = tmp_path.glob("a-0.*")
    assert (aside / "value").read_text() == "1" and not (aside / "done.json").exists()


def test_what_is_made_anew_says_why(run: Run, tmp_path: Path) -> None:
    run(1)
    assert not any("again" in line for line in run(1))
    (tmp_path / "a-0" / "value").unlink()
    said = run(1)
    assert "a-0: starts again from nothing: value is missing" in said and value(tmp_path) == "1"

    def stop(_: StageContext) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(2, work=stop)
    assert "a-0: starts again from nothing: it did not finish" in run(2)


@pytest.mark.parametrize("kind", [RecipeError, DataError, ValueError])
def test_any_error_of_a_seed_is_that_seeds_failure(
    run: Run, tmp_path: Path, kind: type[Exception]
) -> None:
    def fail(_: StageContext) -> None:
        raise kind("r is 0")

    with pytest.raises(StageFailedError, match="r is 0; the traceback is in") as error:
        run(1, work=fail)
    assert "in fail" in (tmp_path / "a-0" / "error.txt").read_text()
    assert error.value.exit_code == (1 if kind is ValueError else 2)


def test_a_folder_of_somebody_else_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a-0").mkdir()
    (tmp_path / "a-0" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="not a run directory of ours"):
        run(1)
    assert [p.name for p in (tmp_path / "a-0").iterdir()] == ["thesis.txt"]


def other_process(directory: Path, how: str) -> subprocess.Popen[str]:
    """Another process that holds the directory until it is killed."""
    code = f"""
    import time
    from pathlib import Path
    from rlhf_compare.runs.locks import claim, share
    {how}(Path({str(directory)!r}))
    print("held", flush=True)
    time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("how", ["claim", "share"])
def test_a_directory_in_use_is_refused_and_a_dead_process_holds_nothing(
    run: Run, tmp_path: Path, how: str
) -> None:
    run(1)
    drop(tmp_path / "a-0")  # as if this process had not read it
    process = other_process(tmp_path / "a-0", how)
    try:
        if how == "share":  # reading together is no harm
            assert any("kept" in line for line in run(1))
        with pytest.raises(UserError, match=f"in use by process {process.pid}; wait"):
            run(2)
        assert value(tmp_path) == "1"
    finally:
        process.kill()
        process.wait()
    run(2)
    assert value(tmp_path) == "2"


def test_the_seconds_of_a_killed_process_are_lost_and_counted(run: Run, tmp_path: Path) -> None:
    code = f"""
    import os, signal, time
    from pathlib import Path
    from rlhf_compare.runs.config import TrackingConfig
    from rlhf_compare.runs.runner import StageRunner
    def work(context):
        time.sleep(4.5)
        os.kill(os.getpid(), signal.SIGKILL)
    runner = StageRunner(Path({str(tmp_path)!r}), {{"name": "micro"}}, 0,
                         TrackingConfig(wandb="disabled"), print)
    runner.run("a", 0, {{"a": {{"rate": 1, "same": 1}}}}, work, trains=False)
    """
    for _ in range(2):
        killed = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
        assert killed.returncode == -signal.SIGKILL
    run(1)
    cost = json.loads((tmp_path / "a-0" / "cost.json").read_text())
    assert 2 * 2.0 <= cost["lost_to_interruptions"] <= 2 * 4.5 and cost["total"] < 2.0
    assert not (tmp_path / "a-0" / "held.json").exists()


def test_a_failure_leaves_its_traceback_and_one_line(run: Run, tmp_path: Path) -> None:
    def fail(_: StageContext) -> None:
        raise ZeroDivisionError("nothing to divide")

    with pytest.raises(StageFailedError) as error:
        run(1, work=fail)
    file = tmp_path / "a-0" / "error.txt"
    message = f"ZeroDivisionError: nothing to divide; the traceback is in {file}"
    assert str(error.value) == message and "in fail" in file.read_text()
    run(1)
    assert not file.exists()


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device", "/somewhere/metrics.jsonl"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 96192 vs 96084"),
        RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
        SafetensorError(
            "Error while serializing: I/O error: No space left on device (os error 28)"
        ),
    ],
)
def test_a_full_disk_is_named(run: Run, tmp_path: Path, error: Exception) -> None:
    """However the writer that met it puts it."""

    def fail(_: StageContext) -> None:
        raise error

    place = getattr(error, "filename", None) or str(tmp_path / "a-0")
    with pytest.raises(StorageError) as raised:
        run(1, work=fail)
    message = str(raised.value)
    assert message.startswith(place) and "the disk is full, " in message
    assert "bytes are free" in message and "\n" not in message


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

    monkeypatch.setattr("rlhf_compare.pipeline.train_reward", fail)
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


# --- inputs by content


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json"])
def test_other_files_under_the_same_path_are_another_model(
    recipe_file: Path,
    tmp_path: Path,
    policy: GPT2LMHeadModel,
    tokenizer: PreTrainedTokenizerFast,
    file: str,
) -> None:
    folder = tmp_path / "model"
    policy.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    recipe = load_recipe(recipe_file, ["model.config=null", f"model.path={folder}"])

    def start() -> dict[str, Any]:
        return sft_inputs(recipe, "data")

    before = start()
    assert start() == before
    (folder / "README.md").write_text("no part of the model")
    assert start() == before
    content = bytearray((folder / file).read_bytes())
    content[-1] ^= 1
    (folder / file).write_bytes(content)
    assert start() != before


def test_paths_anywhere_in_a_section_count_by_content(tmp_path: Path) -> None:
    file = tmp_path / "deepspeed.json"
    file.write_text("{}")
    section = {"deepspeed": str(file), "lora": {"paths": [str(tmp_path)]}, "beta": 0.1, "x": "."}
    before = fingerprints.by_content(section)
    assert before["beta"] == 0.1 and before["x"] == "."
    file.write_text('{"a": 1}')
    after = fingerprints.by_content(section)
    assert before["deepspeed"] != after["deepspeed"] and before["lora"] != after["lora"]


def test_a_hub_id_is_the_commit_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert fingerprints.hub_commit("org/name", None) is None
    refs = tmp_path / "models--org--name" / "refs"
    refs.mkdir(parents=True)
    (refs / "main").write_text("c0ffee")
    assert fingerprints.hub_commit("org/name", None) == "c0ffee"


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
