"""`rlhf-compare replicate`: what it refuses, and what it writes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rlhf_compare.replication.results import load_replication
from rlhf_compare.reporting.results import write_part, write_results
from rlhf_compare.reporting.schema import Results
from tests.command_line import assert_one_line
from tests.reporting.conftest import changed, only
from tests.tuning.test_page import tuning

from .made_up import FIRST, FRESH, KL, under

Files = Callable[..., tuple[Path, Path]]


@pytest.fixture
def files(results: Results, tmp_path: Path) -> Files:
    """Writes both results; changes are made to the fresh ones."""

    def written(changes: dict[str, Any] | None = None, seeds: list[int] = FRESH) -> Any:
        paths = []
        for name, under_seeds in (("first", FIRST), ("fresh", seeds)):
            made = under(results, under_seeds, {KL: [4.9, 5.0, 5.1]})
            path = tmp_path / name / "results.json"
            path.parent.mkdir(exist_ok=True)
            write_results(changed(made, changes or {}) if name == "fresh" else made, path)
            paths.append(path)
        return tuple(paths)

    return written


def test_a_replication_is_printed_and_written_beside_the_fresh_results(
    run: Any, files: Files
) -> None:
    first, fresh = files({"recipe.name": "tiny_again", "recipe.tracking": {"project": "other"}})
    outcome = run("replicate", first, fresh)
    assert outcome.code == 0, outcome.err
    assert "5.00" in outcome.out and "[4.95, 5.05]" in outcome.out
    assert "PPO against DPO: 2 of 2 verdicts are the same" in outcome.out
    assert load_replication(fresh.parent / "replication.json").sides["fresh"].seeds == FRESH
    assert (fresh.parent / "replication.md").is_file()
    assert not (first.parent / "replication.md").exists()


def test_shared_seeds_are_refused_with_others_to_take(run: Any, files: Files) -> None:
    first, fresh = files(seeds=[2, 3, 4])
    parts = ("seed 2 is in", first, '--seeds "3 4 5 6 7"')
    assert_one_line(run("replicate", first, fresh), *parts)
    assert not (fresh.parent / "replication.json").exists()


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"recipe.ppo.kl_coef": 0.1}, ["ppo.kl_coef is 0.1, in", "0.05"]),
        ({"recipe.ppo.gamma": 0.9}, ["ppo.gamma is 0.9, in", "(not set)"]),
        ({"recipe.evaluation": {"max_prompts": 9}}, ["evaluation.max_prompts is 9"]),
        ({"recipe.data": {"source": "other"}}, ["data.source is other"]),
        ({"recipe.seed": 3}, ["seed is 3"]),
        ({"provenance.data_sha256": "0" * 64}, ["provenance.data_sha256"]),
    ],
)
def test_another_recipe_is_refused_with_the_field(
    run: Any, files: Files, changes: dict[str, Any], parts: list[str]
) -> None:
    assert_one_line(run("replicate", *files(changes)), *parts)


def test_columns_of_one_file_alone_may_be_of_any_setting(
    run: Any, files: Files, results: Results
) -> None:
    """A variant more, and a method that the other file does not hold."""
    first, fresh = files()
    made = only(under(results, FRESH, {KL: [4.9, 5.0, 5.1]}), "sft", "ppo")
    other = {"recipe.dpo.beta": 9.0, "recipe.variants": {"dpo_ipo": {"method": "dpo"}}}
    write_results(changed(made, other), fresh)
    assert run("replicate", first, fresh).code == 0
    write_results(only(made, "sft"), fresh)
    assert_one_line(run("replicate", first, fresh), "no method in common")


def test_a_variant_of_both_files_must_be_one(run: Any, files: Files, results: Results) -> None:
    first, fresh = files()
    for path, seeds, beta in ((first, FIRST, 0.1), (fresh, FRESH, 0.2)):
        made = under(results, seeds, {})
        methods = {**made.methods, "dpo_low": made.methods["dpo"]}
        variant = {"dpo_low": {"method": "dpo", "settings": {"beta": beta}}}
        changes = {"methods": methods, "recipe.variants": variant}
        write_results(changed(made, changes), path)
    assert_one_line(run("replicate", first, fresh), "variants.dpo_low.settings.beta is 0.2", "0.1")


def test_files_that_cannot_be_read_are_named(run: Any, files: Files, tmp_path: Path) -> None:
    first, fresh = files()
    assert_one_line(run("replicate", first, tmp_path / "none.json"), "none.json: no such file")
    assert_one_line(run("replicate", first, tmp_path), "a folder")
    assert_one_line(
        run("replicate", first, fresh, "--tuning", tmp_path / "t.json"), "t.json: no such file"
    )
    fresh.write_text('{"schema_version": 1}')
    assert_one_line(run("replicate", first, fresh), f"{fresh}: $.recipe")


def test_a_search_of_another_recipe_or_of_the_fresh_seeds_is_refused(
    run: Any, files: Files, tmp_path: Path
) -> None:
    first, fresh = files()
    log, made = tmp_path / "tuning.json", tuning()
    write_part(made, log)
    assert_one_line(run("replicate", first, fresh, "--tuning", log), "a search of recipe made_up")
    origin = made.origin.model_copy(update={"seeds": [FRESH[0]]})
    write_part(made.model_copy(update={"recipe": "tiny", "origin": origin}), log)
    assert_one_line(run("replicate", first, fresh, "--tuning", log), "seed 5 is in")
