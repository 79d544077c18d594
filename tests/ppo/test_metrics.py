"""What is logged is what was maximised."""

import pytest

from tests.ppo.conftest import MakeTrainer


@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_the_penalty_that_is_logged_is_the_one_that_was_paid(
    make_trainer: MakeTrainer, estimator: str
) -> None:
    trainer = make_trainer({"kl_estimator": estimator, "kl_coef": 0.3})
    trainer.train()
    last = [row for row in trainer.state.log_history if "objective/kl" in row][-1]
    penalty = last["objective/scores"] - last["objective/rlhf_reward"]
    assert last["objective/kl"] != 0.0
    assert penalty == pytest.approx(-last["objective/non_score_reward"], rel=1e-4)
    assert (penalty == pytest.approx(0.3 * last["objective/kl"], rel=1e-4)) == (estimator == "k1")
