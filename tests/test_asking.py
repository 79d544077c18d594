"""A judge behind an endpoint, from the recipe to the results. MADE-UP ANSWERS of stages that
nothing trained; the judge prefers the longer one."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from datasets import Dataset

from rlhf_compare.asking import ask_judge
from rlhf_compare.collect import collect_results
from rlhf_compare.errors import RecipeError
from rlhf_compare.finished import Finished
from rlhf_compare.inputs import data_inputs, evaluation_inputs, judge_inputs, method_inputs
from rlhf_compare.recipe import load_recipe
from rlhf_compare.reporting.win_rates import judge_of, judges_table, win_rate
from rlhf_compare.runs.files import read_json, write_json
from tests.judge_server import JudgeServer
from tests.test_collect import LEDGER, Made

_SECRET = "sk-very-secret-0123"
PROMPTS = [f"prompt {i}" for i in range(4)]
# of four prompts DPO's first answer is longer on three, and equal to SFT's on the last
ANSWERS = {"sft": ["", "", "aa", "same"], "dpo": ["aaaa", "bbbb", "cccc", "same"]}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[JudgeServer]:
    monkeypatch.setenv("OPENAI_API_KEY", _SECRET)
    with JudgeServer() as server:
        yield server


@pytest.fixture
def finished(tmp_path: Path) -> Finished:
    """People liked the longer response on two of three labelled prompts."""
    made = Made(tmp_path)
    write_json(made.stage("data") / "ledger.json", LEDGER)
    rows = [
        {"prompt": prompt, "responses": ["long one", "short"], "scores": scores,
         "feeds": ["rankings"] if prompt != PROMPTS[3] else ["prompts"]}
        for prompt, scores in zip(PROMPTS, [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]],
                                  strict=True)
    ]  # fmt: skip
    Dataset.from_list(rows).save_to_disk(str(tmp_path / "data" / "eval" / "0"))
    write_json(made.stage("sft", update=4.0) / "model_size.json", {"parameters": 7})
    made.stage("dpo-0", update=6.0)
    evaluations = {name: {0: made.evaluation(name, 0, [0.5] * 4)} for name in ANSWERS}
    for name, answers in ANSWERS.items():
        file = tmp_path / f"evaluate-{name}-0" / "measurement.json"
        sampled = [[answer, "not asked about"] for answer in answers]
        write_json(file, {**read_json(file), "prompts": PROMPTS, "sampled": sampled})
    return Finished(
        recipe=made.recipe, evaluations=evaluations, stages=made.stages, failed={}, reasons={}
    )


def judged(finished: Finished, root: Path, *settings: str) -> tuple[Finished, list[str]]:
    given = [f"evaluation.{setting}" for setting in settings]
    recipe = load_recipe(root / "made_up.yaml", given)
    said: list[str] = []
    return ask_judge(replace(finished, recipe=recipe), root, said.append), said


def test_nothing_is_sent_where_the_recipe_names_no_judge(
    finished: Finished, tmp_path: Path, server: JudgeServer
) -> None:
    assert ask_judge(finished, tmp_path, print) is finished and server.requests == []
    assert collect_results(finished, "").judges == []


def test_from_the_recipe_to_the_results(
    finished: Finished, tmp_path: Path, server: JudgeServer
) -> None:
    done, said = judged(finished, tmp_path, f"judge_url={server.url}", "judge_model=m")
    assert len(server.requests) == 2 * 3 + 2 * 3  # equal answers and unlabelled rows are not asked
    assert said[0].startswith("judge: prompts and answers go to m at 127.0.0.1")
    results = collect_results(done, "")
    rate = win_rate(results, "dpo", "sft")
    assert rate is not None and rate.judge == "endpoint"
    assert rate.share.mean == 3.5 / 4 and rate.ties is not None and rate.ties.mean == 0.25
    assert rate.consistent is not None and (rate.consistent.mean, rate.consistent.n) == (1.0, 3)
    assert rate.verdict == "one seed: not decided"
    turned = win_rate(results, "sft", "dpo")
    assert turned is not None and turned.share.mean == 0.5 / 4
    assert results.methods["dpo"].value("win_rate_vs_sft") == 3.5 / 4
    judge = judge_of(results, "endpoint")
    assert judge is not None and judge.accuracy is not None
    assert (judge.accuracy.mean, judge.accuracy.n) == (pytest.approx(2 / 3), 3)
    assert judge.words.startswith("m at 127.0.0.1") and not judge.reason


def test_a_second_call_asks_nothing_and_neither_does_a_fresh_one(
    finished: Finished, tmp_path: Path, server: JudgeServer
) -> None:
    settings = (f"judge_url={server.url}", "judge_model=m")
    judged(finished, tmp_path, *settings)
    asked = len(server.requests)
    _, said = judged(finished, tmp_path, *settings)
    assert len(server.requests) == asked
    assert [line.partition(":")[2][:12] for line in said[1:]] == [" done before"] * 2
    recipe = load_recipe(tmp_path / "made_up.yaml", [f"evaluation.{one}" for one in settings])
    ask_judge(replace(finished, recipe=recipe), tmp_path, print, fresh=True)
    assert len(server.requests) == asked


def test_prompts_are_capped(finished: Finished, tmp_path: Path, server: JudgeServer) -> None:
    settings = (f"judge_url={server.url}", "judge_model=m", "judge_prompts=2")
    done, _ = judged(finished, tmp_path, *settings)
    assert len(server.requests) == 2 * 2 + 2 * 2
    rate = win_rate(collect_results(done, ""), "dpo", "sft")
    assert rate is not None and (rate.share.mean, rate.share.n) == (1.0, 2)


def test_an_endpoint_that_fails_costs_no_number(
    finished: Finished, tmp_path: Path, server: JudgeServer
) -> None:
    """Results without a judge, and why; then the next call goes on."""
    server.codes = [401]
    settings = (f"judge_url={server.url}", "judge_model=m")
    done, said = judged(finished, tmp_path, *settings)
    results = collect_results(done, "")
    assert results.methods["dpo"].value("length") == 8.0 and results.win_rates == []
    (judge,) = results.judges
    assert judge.accuracy is None and "HTTP 401" in judge.reason and "HTTP 401" in said[-1]
    assert "did not judge: " in judges_table(results).note
    done, _ = judged(finished, tmp_path, *settings)
    assert collect_results(done, "").win_rates


def test_answers_that_an_older_version_did_not_keep(
    finished: Finished, tmp_path: Path, server: JudgeServer
) -> None:
    file = tmp_path / "evaluate-sft-0" / "measurement.json"
    old = {name: value for name, value in read_json(file).items() if name != "prompts"}
    write_json(file, old)
    done, _ = judged(finished, tmp_path, f"judge_url={server.url}", "judge_model=m")
    assert "kept no sampled answers" in done.unasked and server.requests == []


@pytest.mark.parametrize("codes", [[], [401]])
def test_the_key_is_written_nowhere(
    finished: Finished, tmp_path: Path, server: JudgeServer, codes: list[int]
) -> None:
    server.codes = codes
    done, said = judged(finished, tmp_path, f"judge_url={server.url}", "judge_model=m")
    results = collect_results(done, "the command")
    assert server.requests[0]["key"] == f"Bearer {_SECRET}"
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any("opinion" in path.name or "error" in path.name for path in files)
    assert not any(_SECRET.encode() in path.read_bytes() for path in files)
    assert _SECRET not in results.model_dump_json() + "".join(said)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["judge_url=http://h/v1"], "judge_model: needed where judge_url is set"),
        (["judge_url=h/v1", "judge_model=m"], "'h/v1' is no address"),
        (["judge_url=https://me:pw@h/v1", "judge_model=m"], "holds more than host and path"),
        (["judge_url=https://h/v1?key=1", "judge_model=m"], "holds more than host and path"),
        (["judge_key_variable=sk-abc"], "write the name of an environment variable"),
    ],
)
def test_what_the_recipe_may_not_say(tmp_path: Path, settings: list[str], said: str) -> None:
    Made(tmp_path)
    with pytest.raises(RecipeError, match="evaluation") as caught:
        load_recipe(tmp_path / "made_up.yaml", [f"evaluation.{setting}" for setting in settings])
    assert said in str(caught.value)


def test_a_judge_changes_nothing_but_its_own_stages(tmp_path: Path) -> None:
    Made(tmp_path)
    file = tmp_path / "made_up.yaml"
    judge = ["evaluation.judge_url=https://h/v1", "evaluation.judge_model=m"]
    plain, asking = load_recipe(file), load_recipe(file, judge)
    assert evaluation_inputs(plain, "p", {}) == evaluation_inputs(asking, "p", {})
    assert method_inputs(plain, "dpo", {}) == method_inputs(asking, "dpo", {})
    assert data_inputs(plain) == data_inputs(asking)
    other = load_recipe(file, [*judge, "evaluation.judge_prompts=5"])
    renamed = load_recipe(file, [*judge, "evaluation.judge_key_variable=MINE"])
    assert judge_inputs(asking, {}) != judge_inputs(other, {})
    assert judge_inputs(asking, {}) == judge_inputs(renamed, {})
