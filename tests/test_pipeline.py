"""The whole comparison on a model of a few thousand weights: every stage, every file, once."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from rlhf_compare.data.store import DataDirectory
from rlhf_compare.errors import RecipeError, StageFailedError
from rlhf_compare.pipeline import Pipeline
from rlhf_compare.recipe import load_recipe
from tests.micro_recipe import RECIPE, collected, run


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compare")


@pytest.fixture(scope="module")
def recipe_file(root: Path) -> Path:
    path = root / "micro.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def first(recipe_file: Path, root: Path) -> tuple[dict[str, Any], list[str]]:
    return run(recipe_file, root)


def test_results_are_valid_and_hold_all_methods(first: tuple[dict[str, Any], list[str]]) -> None:
    results, _ = first
    assert list(results["methods"]) == ["sft", "ppo", "dpo"]
    for name, method in results["methods"].items():
        runs = 1 if name == "sft" else 2
        assert method["runs"]["completed"] == method["adoption"]["exact"]["seeds"] == runs, name
        assert method["reward"]["proxy"] is not None
        held_out, proxy = method["reward"]["held_out"], method["reward"]["proxy"]
        assert held_out["n"] == proxy["n"] and held_out["mean"] != proxy["mean"]
    assert [model["seed"] for model in results["reward_models"]] == [0, 1]
    assert results["reward_models"][0]["checks"][0]["name"] == "held_out_accuracy"
    assert results["methods"]["sft"]["kl_to_reference"]["exact"]["mean"] == 0.0
    assert results["methods"]["ppo"]["kl_to_reference"]["exact"]["mean"] > 0.0


def test_every_pair_is_judged(first: tuple[dict[str, Any], list[str]], root: Path) -> None:
    results, _ = first
    found = {(row["a"], row["b"], row["judge"]): row["share"] for row in results["win_rates"]}
    judges = [row["judge"] for row in results["judges"] if row["accuracy"]["seeds"] == 2]
    assert judges == ["reward.held_out", "reward.proxy"]
    pairs = (("ppo", "dpo"), ("ppo", "sft"), ("dpo", "sft"))
    assert set(found) == {(*pair, judge) for pair in pairs for judge in judges}
    assert results["methods"]["ppo"]["win_rate_vs_sft"] == found["ppo", "sft", judges[0]]
    assert results["methods"]["ppo"]["preference"]["accuracy"]["n"] == 6
    file = root / "runs" / "micro" / "evaluate-sft-0" / "measurement.json"
    sft = json.loads(file.read_text(encoding="utf-8"))  # the reference, so all pairs tie
    assert sft["per_prompt"]["preference.accuracy"] == [0.5] * len(sft["prompts"])


def test_every_path_pays_for_its_stages_and_phases_add_up(
    first: tuple[dict[str, Any], list[str]],
) -> None:
    results, _ = first
    paths = {"sft": ("sft",), "ppo": ("sft", "reward", "ppo"), "dpo": ("sft", "dpo")}
    for name, method in results["methods"].items():
        cost = method["cost"]["device_seconds"]
        assert tuple(cost["stages"]) == paths[name]
        stages = cost["stages"].values()
        assert cost["path_total"] == pytest.approx(sum(s["total"] for s in stages))
        for stage in stages:
            assert "evaluate" not in stage["phases"]
            assert sum(stage["phases"].values()) == pytest.approx(stage["total"], rel=0.05)
    phases = results["methods"]["ppo"]["cost"]["device_seconds"]["stages"]["ppo"]["phases"]
    assert {"load", "data", "generate", "score", "reference", "update", "save"} <= set(phases)
    assert (
        "reference"
        in results["methods"]["dpo"]["cost"]["device_seconds"]["stages"]["dpo"]["phases"]
    )


def test_methods_start_from_one_sft_model(
    first: tuple[dict[str, Any], list[str]], root: Path
) -> None:
    records = {
        stage: json.loads((root / "runs" / "micro" / stage / "stage.json").read_text())
        for stage in ("sft", "reward-0", "reward-1", "dpo-0", "ppo-0")
    }
    sft = {records[stage]["inputs"]["sft"] for stage in ("reward-0", "reward-1", "dpo-0")}
    assert len(sft) == 1
    assert not list((root / "runs" / "micro").glob("sft-*"))


def test_questions_that_are_shown_were_not_trained_on(
    first: tuple[dict[str, Any], list[str]], root: Path
) -> None:
    results, _ = first
    assert "What is a wasp?" in results["samples"][0]["prompt"]
    assert set(results["samples"][0]) == {"prompt", "held_out", "sft", "ppo", "dpo"}
    trained = set(DataDirectory(root / "runs" / "micro" / "data").train()["prompt"])
    assert not trained & {sample["prompt"] for sample in results["samples"]}


def test_the_judge_learned_from_rows_that_taught_nobody_else_and_is_charged_to_nobody(
    first: tuple[dict[str, Any], list[str]], root: Path
) -> None:
    directory = root / "runs" / "micro"
    data, learned = DataDirectory(directory / "data"), first[0]["provenance"]["learned"]
    trained = [
        json.loads((directory / stage / "training.json").read_text())["prompts"]
        for stage in ("reward-0", "judge-0")
    ]
    assert trained == [len(data.train()), len(data.judge())] and min(trained) >= 10
    assert trained == [learned[stage]["used"] for stage in ("reward-0", "judge-0")]
    assert not set(data.train()["prompt"]) & set(data.judge()["prompt"])
    stages = first[0]["methods"]["ppo"]["cost"]["device_seconds"]["stages"]
    assert "reward" in stages and "judge" not in stages


def test_ppo_refuses_a_reward_model_that_failed(
    first: tuple[dict[str, Any], list[str]], recipe_file: Path, root: Path
) -> None:
    """The permission is no input of the stages, so nothing is trained again."""
    lines: list[str] = []
    recipe = load_recipe(recipe_file, ["reward.accept_failed_doctor=false"])
    pipeline = Pipeline(recipe, root / "runs", say=lines.append)
    with pytest.raises(StageFailedError) as error:
        pipeline.method("ppo", 0)
    assert all("kept" in line for line in lines)
    message = str(error.value)
    assert "held_out_accuracy" in message or "one_token_repeated" in message
    assert "reward.accept_failed_doctor=true" in message and "\n" not in message
    assert error.value.exit_code == 1


def test_second_run_trains_nothing_and_says_the_same(
    first: tuple[dict[str, Any], list[str]], recipe_file: Path, root: Path
) -> None:
    again, lines = run(recipe_file, root)
    assert lines and all("kept" in line for line in lines)
    assert {**again, "provenance": 0} == {**first[0], "provenance": 0}


def test_changed_section_reruns_what_depends_on_it_and_nothing_else(
    first: tuple[dict[str, Any], list[str]], recipe_file: Path, root: Path
) -> None:
    _, lines = run(recipe_file, root, "dpo.beta=0.5")
    ran = sorted(line.split(":")[0] for line in lines if "running" in line)
    assert ran == ["dpo-0", "dpo-1", "evaluate-dpo-0", "evaluate-dpo-1"]
    run(recipe_file, root)  # leaves the folder as the other tests expect it


def test_what_changes_no_row_prepares_none_again(
    first: tuple[dict[str, Any], list[str]], recipe_file: Path, root: Path
) -> None:
    _, lines = run(recipe_file, root, "data.pairs=all", "data.num_proc=2")
    ran = sorted(line.split(":")[0] for line in lines if "running" in line)
    assert ran == ["dpo-0", "dpo-1", "evaluate-dpo-0", "evaluate-dpo-1"]
    run(recipe_file, root)  # leaves the folder as the other tests expect it


def test_a_changed_data_file_is_prepared_again(recipe_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    text = "".join(f'{{"question": "q{i}", "answer": "one"}}\n' for i in range(40))

    def prepared() -> list[str]:
        lines: list[str] = []
        recipe = load_recipe(recipe_file, ["data.source=file", f"data.path={path}"])
        Pipeline(recipe, tmp_path / "runs", say=lines.append).data()
        return lines

    path.write_text(text)
    assert "running" in prepared()[0]
    assert "kept" in prepared()[0]
    path.write_text(text.replace("one", "two", 1))  # as long as before
    assert "running" in prepared()[0]


def test_every_model_loads_with_plain_transformers(
    first: tuple[dict[str, Any], list[str]], root: Path
) -> None:
    for stage in ("sft", "ppo-0", "dpo-0"):
        AutoModelForCausalLM.from_pretrained(root / "runs" / "micro" / stage / "model")


def test_metrics_are_on_disk(first: tuple[dict[str, Any], list[str]], root: Path) -> None:
    rows = [
        json.loads(line)
        for line in (root / "runs" / "micro" / "ppo-0" / "metrics.jsonl").read_text().splitlines()
    ]
    logged = [row for row in rows if "objective/kl" in row]
    assert [row["step"] for row in logged] == [1, 2]
    assert logged[0]["objective/kl"] == pytest.approx(0.0, abs=1e-5)
    assert logged[0]["objective/kl_exact"] == pytest.approx(0.0, abs=1e-5)


def test_lora_trains_adapters_on_the_same_sft_model(
    first: tuple[dict[str, Any], list[str]], recipe_file: Path, root: Path
) -> None:
    """Another run root, so that the folder of the other tests stays; SFT does not depend on it."""
    lines: list[str] = []
    # steep: an adapter starts at nothing, and after a few steps its KL would drown in rounding
    rates = [f"{method}.learning_rate=1e-1" for method in ("ppo", "dpo")]
    recipe = load_recipe(recipe_file, ["model.lora={r: 4, lora_alpha: 8}", *rates])
    pipeline = Pipeline(recipe, root / "lora", say=lines.append)
    pipeline.check()
    results = collected(pipeline, pipeline.compare(("sft", "ppo", "dpo"), (0,)))
    for method in ("ppo", "dpo"):
        assert results["methods"][method]["kl_to_reference"]["exact"]["mean"] > 0.0
        model = root / "lora" / "micro" / f"{method}-0" / "model"
        AutoModelForCausalLM.from_pretrained(model)
        assert list((model / "adapter").rglob("adapter_model.safetensors"))
    assert results["methods"]["ppo"]["reward"]["proxy"] is not None
    hashes = [
        json.loads((root / runs / "micro" / "sft" / "done.json").read_text())["inputs_hash"]
        for runs in ("lora", "runs")
    ]
    assert hashes[0] == hashes[1]


def test_unknown_lora_field_is_refused_before_anything_trains(
    recipe_file: Path, root: Path
) -> None:
    recipe = load_recipe(recipe_file, ["model.lora={rank: 4}"])
    with pytest.raises(RecipeError, match="rank"):
        Pipeline(recipe, root / "refused").check()


def test_a_variant_is_one_more_column_on_the_same_reference(recipe_file: Path, root: Path) -> None:
    variant = "variants={dpo_gentle: {method: dpo, settings: {learning_rate: 1e-7}}}"
    rates = ["dpo.learning_rate=1e-2", "evaluation.during_training=2"]
    recipe = load_recipe(recipe_file, [variant, *rates])
    assert recipe.methods == ("sft", "ppo", "dpo", "dpo_gentle")
    pipeline = Pipeline(recipe, root / "variants", say=lambda _: None)
    pipeline.check()
    done = pipeline.compare(("sft", "dpo", "dpo_gentle"), (0,), with_reward=False)
    results = collected(pipeline, done)
    plain, gentle = (results["methods"][name] for name in ("dpo", "dpo_gentle"))
    assert list(gentle["cost"]["device_seconds"]["stages"]) == ["sft", "dpo_gentle"]
    assert 0.0 < plain["cost"]["padding_share"] < 0.5
    assert results["methods"]["sft"]["cost"]["padding_share"] is None
    assert gentle["kl_to_reference"]["exact"]["mean"] < plain["kl_to_reference"]["exact"]["mean"]
    # one file for the training pairs, one for the probe's; who finds them pays what they took
    assert len(list((pipeline.runs / ".cache").iterdir())) == 2
    paid = [
        m["cost"]["device_seconds"]["stages"][name]["phases"]["reference"]
        for name, m in (("dpo", plain), ("dpo_gentle", gentle))
    ]
    assert paid[1] == pytest.approx(paid[0], rel=0.2) and paid[1] > 0
    (run,) = plain["training"]
    start, middle, end = run["points"]
    assert {"held_out_loss", "adoption_exact", "kl_exact", "logratio_chosen"} <= set(middle)
    # where the curve begins: the SFT model, before the first pair and after what comes before it
    assert (start["step"], start["kl_exact"], start["samples"]) == (0, 0.0, 0)
    assert 0.0 < start["adoption_exact"] < 1.0
    pairs = json.loads((pipeline.root / "data" / "ledger.json").read_text())["feeds"]["rankings"]
    assert 0 < middle["samples"] < end["samples"] == pairs
    assert 0.0 < start["seconds"] < middle["seconds"] < end["seconds"]
    stages = plain["cost"]["device_seconds"]["stages"]
    assert end["seconds"] <= stages["dpo"]["total"] and paid[0] < start["seconds"]
    assert run["before"] == {"sft": stages["sft"]["total"]} == {"sft": stages["sft"]["by_seed"][0]}


def test_without_a_probe_nothing_is_held_back(recipe_file: Path, root: Path) -> None:
    recipe = load_recipe(recipe_file, ["evaluation.during_training=0"])
    pipeline = Pipeline(recipe, root / "unprobed", say=lambda _: None)
    done = pipeline.compare(("sft", "dpo"), (0,), with_reward=False)
    results = collected(pipeline, done)
    assert [run["points"] for run in results["methods"]["dpo"]["training"]] == [[]]
