"""The oracle's arithmetic by hand and by identity; with the trainers, what it is for."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from rlhf_compare.cli import app
from rlhf_compare.errors import RecipeError
from rlhf_compare.world import oracle
from rlhf_compare.world.enumerable import response_logps
from rlhf_compare.world.optimum import expectation, optimum_logps
from rlhf_compare.world.page import GAP, first_sentence, page
from rlhf_compare.world.pairs import draw_pairs

WORLD = oracle.oracle_world()


@pytest.fixture(scope="module")
def ref() -> torch.Tensor:
    return response_logps(WORLD, WORLD.reference(0, dtype=torch.float64))


def indices(rows: Any, name: str) -> list[int]:
    place = {tuple(said): i for i, said in enumerate(WORLD.responses.to_lists())}
    return [place[tuple(said)] for said in rows[name]]


# --- pairs


def test_drawn_labels_follow_bradley_terry() -> None:
    """Of the pairs with a margin of 1.5 the better response wins sigmoid(1.5) = 0.818."""
    rows = draw_pairs(WORLD, "drawn", 40_000, 0)
    rewards = WORLD.rewards.repeat_interleave(10_000, 0)
    margin = (
        rewards.gather(1, torch.tensor(indices(rows, "chosen_ids")).unsqueeze(1))
        - rewards.gather(1, torch.tensor(indices(rows, "rejected_ids")).unsqueeze(1))
    ).squeeze(1)
    won, lost = (margin == 1.5).sum(), (margin == -1.5).sum()
    share, p = float(won / (won + lost)), 1 / (1 + math.exp(-1.5))
    assert share == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / float(won + lost)))
    assert set(indices(rows, "chosen_ids")) == set(range(21))


def test_deterministic_labels_never_err() -> None:
    rows = draw_pairs(WORLD, "deterministic", 4000, 0)
    chosen, rejected = (indices(rows, f"{side}_ids") for side in ("chosen", "rejected"))
    for row, (better, worse) in enumerate(zip(chosen, rejected, strict=True)):
        values = WORLD.rewards[row // 1000]
        assert values[better] > values[worse]


def test_pairs_show_what_they_may(ref: torch.Tensor) -> None:
    shown = oracle.best_responses(WORLD.rewards, 6)
    assert shown.sum(1).tolist() == [6] * 4
    assert WORLD.rewards[shown].min() >= WORLD.rewards[~shown].quantile(0.5)
    rows = draw_pairs(WORLD, "drawn", 4000, 0, shown)
    for name in ("chosen_ids", "rejected_ids"):
        for row, response in enumerate(indices(rows, name)):
            assert shown[row // 1000, response]
    nothing = torch.zeros_like(shown)
    with pytest.raises(ValueError, match="no pair"):
        draw_pairs(WORLD, "drawn", 40, 0, nothing)


# --- what is measured


def test_the_optimum_implies_the_gold_reward(ref: torch.Tensor) -> None:
    best = optimum_logps(ref, WORLD.rewards, WORLD.beta)
    fit = oracle.implied_reward(best, ref, WORLD)
    assert fit["correlation"] == pytest.approx(1.0)
    assert fit["largest_error"] < 1e-9
    shifted = optimum_logps(ref, 2 * WORLD.rewards, WORLD.beta)
    assert oracle.implied_reward(shifted, ref, WORLD)["largest_error"] > 0.5


def test_the_loss_has_a_minimum_at_the_optimum_only_where_labels_err(ref: torch.Tensor) -> None:
    rows = oracle.loss_by_scale(WORLD.rewards, ref, WORLD.beta)
    assert min(rows, key=lambda row: row["drawn"])["scale"] == 1.0
    losses = [row["deterministic"] for row in rows]
    assert losses == sorted(losses, reverse=True) and losses[-1] < 1e-3
    highest = oracle.highest_kl(ref, WORLD.rewards).mean()
    assert rows[-1]["kl"] == pytest.approx(float(highest), rel=1e-6)


def test_unseen_counts_mass_and_lifts_by_hand() -> None:
    """Of three unseen responses the optimum lowers two; the policy doubles one of them."""
    ref = torch.tensor([[0.4, 0.1, 0.2, 0.3]], dtype=torch.float64).log()
    best = torch.tensor([[0.5, 0.05, 0.1, 0.35]], dtype=torch.float64).log()
    policy = torch.tensor([[0.4, 0.2, 0.1, 0.3]], dtype=torch.float64).log()
    where = torch.tensor([[False, True, True, True]])
    found = oracle.unseen(policy, ref, best, where)
    assert found["mass"] == pytest.approx(0.6)
    assert found["lifted"] == 0.5
    assert found["largest_lift"] == pytest.approx(2.0)


def test_best_of_n_lies_between_the_reference_and_the_frontier(ref: torch.Tensor) -> None:
    rows = [oracle.best_of_n(ref, WORLD.rewards, n) for n in (1, 2, 4, 64)]
    assert rows[0]["reward"] == pytest.approx(float(expectation(ref, WORLD.rewards).mean()))
    for row in rows[1:]:
        assert row["kl"] < row["bound"]
        assert row["reward"] < row["frontier_reward"] + 1e-9


# --- the command


def test_a_tuning_world_is_refused() -> None:
    result = CliRunner().invoke(app, ["oracle", "--seeds", "0 1"])
    assert isinstance(result.exception, RecipeError)
    assert "chosen on world 0" in str(result.exception)


def test_the_committed_page_is_that_of_the_committed_numbers() -> None:
    folder = Path(__file__).resolve().parents[2] / "reports" / "oracle"
    answers = json.loads((folder / "oracle.json").read_text(encoding="utf-8"))
    text = (folder / "oracle.md").read_text(encoding="utf-8")
    assert text == page(answers, ["drift", "coverage", "frontier", "displacement"])
    assert answers["settings"]["ppo"] == oracle.PPO and answers["settings"]["dpo"] == oracle.DPO
    worse = json.loads(json.dumps(answers))
    worse["worlds"][0]["equivalence"]["dpo"]["gap"] = 0.2
    assert first_sentence(worse).startswith("PPO alone reaches")


@pytest.mark.slow
def test_the_trainers_answer_as_theory_says() -> None:
    """One world of those that are reported, under the reported settings."""
    steps = 0

    def count(more: int) -> None:
        nonlocal steps
        steps += more

    found = oracle.ask(1, count)
    assert steps == oracle.STEPS
    for name in ("ppo", "dpo"):
        where = found["equivalence"][name]
        assert where["gap"] <= GAP
        distance = where["best_objective"] - WORLD.beta * where["kl_to_optimum"]
        assert where["objective"] == pytest.approx(distance, abs=1e-5)
    assert found["equivalence"]["dpo"]["implied_reward"]["correlation"] > 0.95
    paths = found["drift"]["paths"]
    half, end = (
        {name: points[at(points)]["spread"] for name, points in paths.items()}
        for at in (lambda points: len(points) // 2, lambda points: -1)
    )
    assert end["deterministic"] > 1.05 * half["deterministic"]
    assert end["deterministic"] > 2 * end["ppo"]
    assert end["ppo"] == pytest.approx(half["ppo"], rel=0.2)
    assert paths["deterministic"][-1]["kl"] > 1.2 * paths["ppo"][-1]["kl"]
    coverage = found["coverage"]
    assert coverage["ppo"]["mass"] == pytest.approx(coverage["optimum"]["mass"], abs=0.05)
    assert coverage["dpo"]["mass"] > 2 * coverage["ppo"]["mass"]
    assert coverage["dpo"]["lifted"] > coverage["ppo"]["lifted"] + 0.1
    marked = found["displacement"]
    assert marked["ppo"]["possible"] - marked["ppo"]["adoption"] < 0.05
    large = [run for run in marked["runs"] if run["beta"] == 3.0]
    assert all(run["loss"] < 1e-3 and run["adoption"] < 0.9 for run in large)
    assert all(run["elsewhere"] > 0.05 > run["rejected"] for run in large)
    for row in found["best_of_n"]:
        assert row["kl"] <= row["bound"] + 1e-12
        assert row["reward"] <= row["frontier_reward"] + 1e-9
