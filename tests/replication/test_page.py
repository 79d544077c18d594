"""The page of a replication: each sentence has a condition that flips it."""

from pathlib import Path

import pytest

from rlhf_compare.replication.command import PAGE, RESULTS, replicate, write_replication
from rlhf_compare.replication.page import page, sentences
from rlhf_compare.replication.results import Replication, load_replication
from rlhf_compare.reporting.results import write_part
from rlhf_compare.reporting.schema import Results
from tests.reporting.conftest import changed, compared, only
from tests.sweeps.points import point
from tests.tuning.test_page import tuning

from .made_up import ADOPTION, FIRST, FRESH, KL, under

NUMBERS = {KL: [4.9, 5.0, 5.1], ADOPTION: [0.94, 0.95, 0.96]}
FILES = (Path("first/results.json"), Path("fresh/results.json"))


@pytest.fixture
def first(results: Results) -> Results:
    return under(results, FIRST, NUMBERS)


@pytest.fixture
def fresh(results: Results) -> Results:
    return under(results, FRESH, NUMBERS)


def held(first: Results, fresh: Results, log: Path | None = None) -> Replication:
    return replicate(first, fresh, *FILES, log)


def test_the_first_sentence_counts_verdicts_and_names_those_that_changed(
    first: Results, fresh: Results
) -> None:
    assert sentences(held(first, fresh))[0] == (
        "PPO against DPO: 2 of 2 verdicts are the same under fresh seeds."
    )
    other = changed(fresh, {"comparisons.0": compared(ADOPTION, "ppo", "dpo", 0.12, 0.03)})
    assert sentences(held(first, other))[0] == (
        "PPO against DPO: 1 of 2 verdicts are the same under fresh seeds. exact adoption: DPO "
        "higher first, PPO higher under the fresh seeds (reversed)."
    )
    few = {"comparisons.0.verdict": "one seed: not decided"}
    assert (
        "1 of 1 verdicts are the same under fresh seeds; 1 could not be decided."
        in (sentences(held(first, changed(fresh, few)))[0])
    )
    fewer = {**few, "comparisons.1.verdict": "one seed: not decided"}
    assert sentences(held(first, changed(fresh, fewer)))[0] == (
        "PPO against DPO: too few seeds for a verdict."
    )


def test_one_method_alone_has_no_verdicts(first: Results, fresh: Results) -> None:
    alone = sentences(held(only(first, "sft", "ppo"), only(fresh, "sft", "ppo")))
    assert not any("verdict" in line for line in alone)


def test_numbers_are_counted_and_those_that_moved_are_named(
    results: Results, first: Results, fresh: Results
) -> None:
    # PPO's two numbers have seeds; its others, DPO's and the pair's are of one seed here
    assert "no difference shown in 2, not decided in 8 of 10." in sentences(held(first, fresh))[1]
    moved = under(results, FRESH, {**NUMBERS, KL: [6.9, 7.0, 7.1]})
    text = sentences(held(first, moved))[1]
    assert "no difference shown in 1, a difference in 1" in text
    assert text.endswith(
        "PPO, exact KL: 5.00 [4.95, 5.05] first, 7.00 [6.95, 7.05] under the fresh seeds, "
        "difference -2.00 [-2.23, -1.77]."
    )


def test_what_one_file_has_alone_and_other_code_is_said(first: Results, fresh: Results) -> None:
    assert len(sentences(held(first, fresh))) == 2
    lines = sentences(held(first, only(fresh, "sft", "ppo")))
    assert "In the first results alone, so not compared: DPO." in lines
    other = changed(fresh, {"provenance.commit": "f" * 40, "provenance.device.name": "another"})
    notes = " ".join(sentences(held(first, other)))
    assert "The commits differ (0123456 and fffffff): a difference may come from the code." in notes
    assert "The machines differ (made-up CPU and another)" in notes


def log_of(folder: Path, kl: list[float], adoption: list[float], beta: float = 0.3) -> Path:
    path = folder / "tuning.json"
    points = [point("dpo", {"beta": beta}, adoption, kl), point("dpo", {"beta": 0.9}, 0.2, 1.0)]
    log = tuning(points)
    choice = log.chosen["dpo"].model_copy(update={"name": points[0].name, "values": {"beta": beta}})
    write_part(log.model_copy(update={"recipe": "tiny", "chosen": {"dpo": choice}}), path)
    return path


@pytest.fixture
def fresh_dpo(results: Results) -> Results:
    numbers = {KL: [4.9, 5.0, 5.1], ADOPTION: [0.90, 0.91, 0.92]}
    return under(results, FRESH, NUMBERS, numbers)


def test_tuned_minus_fresh_says_whether_choosing_flattered(
    first: Results, fresh_dpo: Results, tmp_path: Path
) -> None:
    """Half widths 0.05 of the fresh numbers, 0.01 of the tuned: 0.051 of their difference."""
    found = held(first, fresh_dpo, log_of(tmp_path, [5.0] * 3, [0.99] * 3))
    adoption, kl = found.tuned
    assert adoption.verdict == "flattered: worse under the fresh seeds"
    assert adoption.difference.mean == pytest.approx(0.08)
    assert kl.verdict == "no difference shown, more than 0.051 excluded"
    said = "Tuned minus fresh (no difference shown in 1, a difference in 1 of 2): DPO, exact"
    assert any(line.startswith(said) for line in sentences(found))
    assert "What choosing flattered" in page(found) and found.sides["tuning"].seeds == [100]
    worse = held(first, fresh_dpo, log_of(tmp_path, [4.0] * 3, [0.80] * 3))
    assert [row.verdict for row in worse.tuned] == [
        "better under fresh seeds",
        "flattered: worse under the fresh seeds",  # a lower KL is better
    ]


def test_a_search_of_one_seed_has_a_difference_and_no_interval(
    first: Results, fresh_dpo: Results, tmp_path: Path
) -> None:
    found = held(first, fresh_dpo, log_of(tmp_path, [5.0], [0.99]))
    assert {row.kind for row in found.tuned} == {"not decided"}
    assert found.tuned[0].difference.interval is None
    assert found.tuned[0].difference.mean == pytest.approx(0.08)


def test_a_setting_that_the_fresh_seeds_did_not_run_is_not_subtracted(
    first: Results, fresh_dpo: Results, tmp_path: Path
) -> None:
    found = held(first, fresh_dpo, log_of(tmp_path, [5.0], [0.99], beta=0.1))
    assert found.tuned == []
    assert found.notes == [
        "DPO has no tuned-minus-fresh: the search chose beta 0.1, and the fresh seeds ran beta 0.3."
    ]


def test_the_page_is_made_of_the_file(first: Results, fresh: Results, tmp_path: Path) -> None:
    found = held(first, fresh)
    write_replication(found, tmp_path)
    assert load_replication(tmp_path / RESULTS).model_dump() == found.model_dump()
    text = (tmp_path / PAGE).read_text()
    assert text == page(load_replication(tmp_path / RESULTS))
    assert "| PPO | exact KL, nats per response | 5.00 [4.95, 5.05] |" in text
    assert "| seeds | 0 1 2 | 5 6 7 |" in text
