"""What the page says of those that judge, and of plain DPO whose pairs are learnt."""

from typing import Any

import pytest

from rlhf_compare.reporting.caveats import caveats
from rlhf_compare.reporting.schema import Results

from .conftest import changed, unmeasured


def notes(results: Results, word: str) -> list[str]:
    return [note for note in caveats(results) if word in note]


# --- plain DPO


def saturated(
    results: Results, chosen: float = 3.0, rejected: float = -5.0, loss: float = 0.0068
) -> dict[str, Any]:
    ends = {"logratio_chosen": chosen, "logratio_rejected": rejected, "held_out_loss": loss}
    points = [{"step": 0, "logratio_chosen": 0.0, "logratio_rejected": 0.0}, {"step": 9, **ends}]
    return {
        "methods.dpo.training": [{"seed": 0, "points": [*points, {"step": 10}]}],
        "methods.dpo.adoption.exact.mean": 0.75,
        "methods.dpo.adoption.exact.low": 0.7,
        "methods.dpo.adoption.exact.high": 0.8,
        "recipe.dpo": {"beta": 1.0, "loss_type": ["sigmoid"]},
    }


def test_plain_dpo_that_learnt_its_pairs_and_adopts_too_little_is_explained(
    results: Results,
) -> None:
    """The loss is the measured one: that of the mean margin, 0.0003 here, is a lower bound."""
    (note,) = notes(changed(results, saturated(results)), "its pairs are learnt")
    assert note.startswith("DPO adopts with probability 0.75 though")
    assert "is +3.0 nats for the chosen responses and -5.0 for the rejected ones" in note
    assert (
        "its loss on held-out pairs (β 1) is 0.007. More of the margin comes from the rejected"
        in note
    )
    assert "docs/oracle.md, question 5" in note


@pytest.mark.parametrize(
    "change",
    [
        {"recipe.dpo.loss_type": ["sppo_hard"]},
        {"recipe.dpo.label_smoothing": 0.1},
        {"methods.dpo.adoption.exact.mean": 0.9, "methods.dpo.adoption.exact.high": 0.95},
        {"methods.dpo.training": []},
        {"methods.dpo.training": [{"seed": 0, "points": [{"step": 0}]}]},
    ],
)
def test_nothing_is_explained_where_a_condition_fails(
    results: Results, change: dict[str, Any]
) -> None:
    assert not notes(changed(results, {**saturated(results), **change}), "its pairs are learnt")


def test_pairs_that_are_not_learnt_explain_nothing(results: Results) -> None:
    assert not notes(changed(results, saturated(results, loss=0.011)), "its pairs are learnt")


def test_who_made_the_margin_is_said_as_it_was(results: Results) -> None:
    (note,) = notes(changed(results, saturated(results, 5.0, -3.0)), "its pairs are learnt")
    assert "More of the margin" not in note and "Both fell" not in note
    (note,) = notes(changed(results, saturated(results, -13.0, -27.0)), "its pairs are learnt")
    assert "Both fell, so the chosen responses are less likely than before." in note


def test_a_variant_is_read_by_its_own_settings(results: Results) -> None:
    method = changed(results, saturated(results)).methods["dpo"]
    of_variant = {"method": "dpo", "settings": {"loss_type": ["ipo"]}}
    changes = {
        **saturated(results),
        "methods.dpo_other": method,
        "recipe.variants": {"dpo_other": of_variant},
    }
    assert len(notes(changed(results, changes), "its pairs are learnt")) == 1
    changes["recipe.variants"] = {"dpo_other": {"method": "dpo", "settings": {"beta": 2.0}}}
    found = notes(changed(results, changes), "its pairs are learnt")
    assert len(found) == 2 and "(β 2)" in found[1]


# --- judge, doctor, search


def test_a_judge_with_rows_of_its_own_still_shares_its_start(results: Results) -> None:
    with_rows = changed(results, {"provenance.ledger.judge_rows": 240})
    (note,) = notes(with_rows, "The judge learned from 240 rows of its own")
    assert "both start from the SFT model, as every policy does" in note
    backbone = changed(with_rows, {"recipe.reward": {"backbone": "encoder"}})
    (note,) = notes(backbone, "The judge learned from")
    assert "both start from the same backbone (reward.backbone)" in note
    assert not notes(results, "The judge learned from")


def test_without_rows_for_a_judge_the_only_reward_model_is_named(results: Results) -> None:
    bare = unmeasured(results, "reward")
    assert len(notes(bare, "No rows were kept for a judge")) == 1
    kept = changed(bare, {"provenance.ledger.judge_rows": 9})
    assert not notes(kept, "No rows were kept for a judge")
    no_reward = changed(bare, {"methods.ppo.cost.device_seconds.stages": {}})
    assert not notes(no_reward, "No rows were kept for a judge")
    assert not notes(results, "No rows were kept for a judge")


def test_the_doctors_rows_are_named_where_it_examined_a_model(results: Results) -> None:
    assert not notes(results, "The doctor examines")
    model = {"seed": 0, "checks": [], "calibration": [], "by_margin": []}
    assert len(notes(changed(results, {"reward_models": [model]}), "The doctor examines")) == 1
