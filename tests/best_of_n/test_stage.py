"""Best of n as a column of a comparison: a method without a trainer and without a model."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from rlhf_compare.best_of_n.sampler import BestOfNSampler
from rlhf_compare.best_of_n.stage import load_best_of_n
from rlhf_compare.collect import collect_results
from rlhf_compare.errors import RecipeError, StageFailedError
from rlhf_compare.models.scoring import Scorer
from rlhf_compare.models.tokenizer import load_tokenizer
from rlhf_compare.pipeline import Pipeline
from rlhf_compare.recipe import load_recipe
from rlhf_compare.reporting.applicable import applies
from rlhf_compare.reporting.report import write_report
from rlhf_compare.reporting.schema import Results
from tests.micro_recipe import SHORT

RECIPE = f"""{SHORT}best_of_n: {{n: 3}}
evaluation: {{max_prompts: 12, samples_per_prompt: 8, max_new_tokens: 8, during_training: 0}}
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("best_of_n")


@pytest.fixture(scope="module")
def recipe_file(root: Path) -> Path:
    path = root / "micro.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def results(recipe_file: Path, root: Path) -> Results:
    pipeline = Pipeline(load_recipe(recipe_file), root / "runs", say=lambda _: None)
    pipeline.check()
    evaluations = pipeline.compare(pipeline.recipe.methods, (0,))
    return collect_results(pipeline.finished(evaluations), "test")


def test_it_is_measured_as_every_method_but_for_what_needs_logits(results: Results) -> None:
    sft, best = results.methods["sft"], results.methods["best_of_n"]
    assert best.value("adoption.exact") is None and best.value("kl_to_reference.exact") is None
    bound = best.value("kl_to_reference.bound")
    assert bound == pytest.approx(0.4319, abs=1e-4)  # log 3 - 2/3
    for path in ("length", "eos_rate", "distinct_2", "adoption.sampled"):
        assert best.value(path) is not None, path
    assert best.value("reward.proxy") > sft.value("reward.proxy")
    assert best.runs.completed == 1 and best.training == []


def test_the_cost_of_an_answer_stands_beside_the_cost_of_the_path(results: Results) -> None:
    sft, best = results.methods["sft"], results.methods["best_of_n"]
    assert tuple(best.cost.stages) == ("sft", "reward", "best_of_n")
    assert sft.value("tokens_per_answer") is None
    assert best.value("tokens_per_answer") > 2 * best.value("length")
    assert any("3 sampled ones" in caveat for caveat in best.caveats)


def test_no_row_of_the_report_is_said_to_be_missing(results: Results, root: Path) -> None:
    from rlhf_compare.metrics import BY_PATH

    assert not applies(results, "best_of_n", BY_PATH["kl_to_reference.exact"])
    assert not applies(results, "best_of_n", BY_PATH["cost.padding_share"])
    write_report(results, root / "report")
    page = (root / "report" / "report.md").read_text(encoding="utf-8")
    assert "KL, upper bound" in page and "tokens sampled per answer" in page


def test_the_run_root_may_move(results: Results, root: Path) -> None:
    moved = root / "elsewhere" / "runs"
    shutil.copytree(root / "runs", moved)
    here = load_best_of_n(root / "runs" / "micro" / "best_of_n-0", "cpu")
    shutil.rmtree(root / "gone", ignore_errors=True)
    (root / "runs").rename(root / "gone")
    try:
        there = load_best_of_n(moved / "micro" / "best_of_n-0", "cpu")
    finally:
        (root / "gone").rename(root / "runs")
    ids = torch.tensor([[5, 6, 7]])
    answers = []
    for sampler in (here, there):
        torch.manual_seed(0)
        answers.append(sampler(ids, ids > 0, 8, 0, 0, 1.0).ids.tolist())
    assert answers[0] == answers[1]


def test_a_model_that_was_trained_anew_is_not_taken_for_the_old_one(
    results: Results, root: Path
) -> None:
    moved = root / "changed"
    shutil.copytree(root / "runs", moved)
    record = moved / "micro" / "sft" / "stage.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "inputs_hash": "0" * 64}))
    with pytest.raises(StageFailedError, match=r"another one by now; delete .*best_of_n-0"):
        load_best_of_n(moved / "micro" / "best_of_n-0", "cpu")


def test_it_scores_with_the_reward_model_of_its_seed(results: Results, root: Path) -> None:
    """The chosen sample has the highest score of the n, scored apart by the saved reward model."""
    from rlhf_compare.models.scoring import load_reward

    run = root / "runs" / "micro"
    sampler = load_best_of_n(run / "best_of_n-0", "cpu")
    assert isinstance(sampler, BestOfNSampler) and sampler.n == 3
    tokenizer = load_tokenizer(run / "sft" / "model")
    reward = load_reward(run / "reward-0" / "model", run / "sft" / "model")
    scorer = Scorer(reward, tokenizer, 8)
    ids = torch.tensor([[5, 6, 7]] * 64)
    eos, mean = tokenizer.eos_token_id, []
    for n in (1, 3):
        torch.manual_seed(1)
        sampler.n = n
        responses = sampler(ids, ids > 0, 8, eos, eos, None)
        mean.append(float(scorer(ids, ids > 0, responses).mean()))
    assert mean[1] > mean[0]


def test_a_reward_model_may_be_an_adapter_on_the_sft_model(recipe_file: Path, root: Path) -> None:
    lora = "model.lora={r: 4, target_modules: [c_attn]}"
    recipe = load_recipe(recipe_file, ["name=lora", lora])
    pipeline = Pipeline(recipe, root / "runs", say=lambda _: None)
    pipeline.check()
    results = collect_results(pipeline.finished(pipeline.compare(recipe.methods, (0,))), "test")
    sft, best = (results.methods[name].value("reward.proxy") for name in ("sft", "best_of_n"))
    assert best > sft


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("best_of_n.n=0", r"best_of_n\.n: .*greater than or equal to 1, got 0"),
        ("best_of_n.temperature=0", r"best_of_n\.temperature: .*greater than 0, got 0"),
        ("best_of_n.num=4", r"best_of_n\.num: unknown key"),
    ],
)
def test_bad_settings_are_named(recipe_file: Path, override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe(recipe_file, [override])


def test_a_variant_is_a_column_of_its_own(recipe_file: Path) -> None:
    more = "variants.best_of_n_64={method: best_of_n, settings: {n: 64}}"
    recipe = load_recipe(recipe_file, [more])
    assert recipe.methods == ("sft", "best_of_n", "best_of_n_64")
    assert recipe.section("best_of_n_64").value("n") == 64
