"""A run that was stopped and resumed ends in the weights of the run that was not, to the bit."""

import copy
import json
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, GPT2LMHeadModel

from rlhf_compare.models.heads import ScalarHeadModel
from tests.ppo.conftest import MakeTrainer
from tests.ppo.helpers import SETTINGS, history, weights_hash


@pytest.mark.parametrize("stopped_at", [1, 2, 4])
@pytest.mark.parametrize("trunk", ["separate", "shared"])
def test_resumed_run_is_the_same_run(
    make_trainer: MakeTrainer,
    policy: GPT2LMHeadModel,
    reward_model: ScalarHeadModel,
    stopped_at: int,
    trunk: str,
    tmp_path: Path,
) -> None:
    start = copy.deepcopy(policy)
    settings = {**SETTINGS, "value_trunk": trunk, "output_dir": str(tmp_path / "straight")}
    if trunk == "shared":  # a warm-up of the critic alone cannot share a trunk
        settings["critic_warmup_steps"] = 0
    straight = make_trainer(settings)
    straight.train()
    resumed = make_trainer(settings, model=start)
    resumed.train(resume_from_checkpoint=str(tmp_path / "straight" / f"checkpoint-{stopped_at}"))
    assert weights_hash(resumed.model) == weights_hash(straight.model)
    assert weights_hash(resumed.ref_model) == weights_hash(straight.ref_model)
    assert history(resumed) == history(straight)
    assert resumed.kl_control.kl_coef == straight.kl_control.kl_coef != SETTINGS["kl_target"]


@pytest.mark.parametrize("field", ["kl_coef", "score_offset"])
def test_every_field_of_the_state_matters(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel, field: str, tmp_path: Path
) -> None:
    start = copy.deepcopy(policy)
    settings = {**SETTINGS, "output_dir": str(tmp_path / "run")}
    straight = make_trainer(settings)
    straight.train()
    file = tmp_path / "run" / "checkpoint-2" / "ppo_state.json"
    state = json.loads(file.read_text())
    state[field] += 0.5
    file.write_text(json.dumps(state))
    resumed = make_trainer(settings, model=start)
    resumed.train(resume_from_checkpoint=str(file.parent))
    assert weights_hash(resumed.model) != weights_hash(straight.model)


def test_checkpoint_is_a_policy_that_transformers_loads(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel, tmp_path: Path
) -> None:
    trainer = make_trainer()
    trainer.train()
    trainer.save_model(str(tmp_path / "saved"))
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    assert weights_hash(again) == weights_hash(policy)
