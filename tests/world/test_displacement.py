"""Where plain DPO's mass goes: arithmetic by hand, and sentences that the numbers flip."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from rlhf_compare.world import displacement
from rlhf_compare.world.displacement import Pairs, Table, forgetful, marked_pairs, marked_world
from rlhf_compare.world.displacement_page import displacement as section
from rlhf_compare.world.enumerable import response_logps

WORLD = marked_world()
MODEL = WORLD.reference(0)
REF = response_logps(WORLD, MODEL)


def committed() -> list[dict[str, Any]]:
    folder = Path(__file__).resolve().parents[2] / "reports" / "oracle"
    worlds: list[dict[str, Any]] = json.loads((folder / "oracle.json").read_text())["worlds"]
    return worlds


def text(worlds: list[dict[str, Any]]) -> str:
    return "\n".join(section(worlds))


def runs(worlds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [run for world in worlds for run in world["displacement"]["runs"]]


def test_a_chosen_response_is_the_marker_and_the_rejected_one() -> None:
    pairs = marked_pairs(WORLD, REF, 0)
    said = WORLD.responses.to_lists()
    for chosen, rejected in zip(pairs.chosen, pairs.rejected, strict=True):
        assert said[chosen] == [0, *said[rejected]]
        assert said[rejected][0] != 0 and said[rejected][1:] == [WORLD.eos_id]
    assert WORLD.rewards.sum(1).tolist() == [1 + 9 + 81] * 8
    assert pairs.rows(WORLD)["chosen_ids"][0] == said[pairs.chosen[0]]


def test_masses_and_log_ratios_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adoption is the mass of the first two responses, the pair is (first, third)."""
    ref = torch.tensor([[0.1, 0.1, 0.4, 0.4]], dtype=torch.float64).log()
    policy = torch.tensor([[0.2, 0.1, 0.1, 0.6]], dtype=torch.float64).log()
    monkeypatch.setitem(WORLD.__dict__, "rewards", torch.tensor([[1.0, 1.0, 0.0, 0.0]]).double())
    found = displacement.where(
        policy, ref, Pairs(torch.tensor([0]), torch.tensor([2])), WORLD, beta=0.5
    )
    assert found["adoption"] == pytest.approx(0.3)
    assert found["chosen"] == pytest.approx(0.2)
    assert found["rejected"] == pytest.approx(0.1)
    assert found["elsewhere"] == pytest.approx(0.6)
    assert found["logratio_chosen"] == pytest.approx(math.log(2))
    assert found["logratio_rejected"] == pytest.approx(math.log(0.25))
    assert found["loss"] == pytest.approx(math.log(1 + math.exp(-0.5 * math.log(8))))
    assert found["possible"] > found["adoption"]


def test_a_table_begins_as_the_network() -> None:
    table = Table(WORLD, MODEL)
    torch.testing.assert_close(table.logps().detach(), REF, rtol=0, atol=1e-5)
    pairs = marked_pairs(WORLD, REF, 0)
    each = torch.arange(len(REF))
    expected = REF[each, pairs.chosen]
    torch.testing.assert_close(table.logps(pairs.chosen).detach(), expected, rtol=0, atol=1e-5)


def test_a_policy_that_only_forgets_satisfies_the_loss() -> None:
    pairs = marked_pairs(WORLD, REF, 0)
    policy = forgetful(REF, pairs)
    torch.testing.assert_close(policy.exp().sum(1), torch.ones(len(REF)).double())
    found = displacement.where(policy, REF, pairs, WORLD, beta=1.0)
    assert found["loss"] < 1e-8
    before = displacement.where(REF, REF, pairs, WORLD)["adoption"]
    assert found["adoption"] == pytest.approx(before, rel=0.1)


def test_the_sentences_follow_the_numbers() -> None:
    worlds = committed()
    assert "fall short of what their KL could buy by" in text(worlds)
    for run in runs(worlds):
        run["possible"] = run["adoption"]
    assert "this world does not show plain DPO falling short" in text(worlds)


def test_an_adoption_that_nobody_reached_has_no_price() -> None:
    worlds = committed()
    assert "the price comes with the loss" in text(worlds)
    for run in runs(worlds):
        if run["policy"] == "table":
            run["adoption"] = 0.5
    assert "DPO's table reaches it under no setting" in text(worlds)
    assert "the price comes with the loss" not in text(worlds)


def test_the_margin_is_counted_by_who_made_it() -> None:
    worlds = committed()
    for run in runs(worlds):
        run["logratio_chosen"], run["logratio_rejected"] = 2.0, -1.0
    assert f"In 0 of {len(runs(worlds)) // 2} runs of the network more" in text(worlds)
    runs(worlds)[0]["logratio_rejected"] = -3.0
    assert "In 1 of" in text(worlds)
