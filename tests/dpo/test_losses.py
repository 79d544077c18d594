"""The column DPO is the sigmoid loss and nothing else."""

import dataclasses
from typing import Any

import pytest

from rlhf_compare.dpo.config import DPOConfig, DPOSection
from rlhf_compare.dpo.losses import label
from rlhf_compare.dpo.stage import dpo_arguments
from rlhf_compare.errors import RecipeError
from rlhf_compare.grpo.stage import METHOD as GRPO
from rlhf_compare.ppo.stage import METHOD as PPO
from rlhf_compare.preflight.trainers import _losses_of


def of(**settings: Any) -> str:
    return label(DPOSection.model_validate(settings))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"loss_type": "sigmoid", "beta": 2.0},
        {"loss_type": ["sigmoid"], "loss_weights": [0.3]},
        {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.0]},
        {"ld_alpha": 1.0, "f_divergence_type": "reverse_kl", "learning_rate": 1e-5},
    ],
)
def test_the_sigmoid_loss_alone_is_dpo(settings: dict[str, Any]) -> None:
    assert of(**settings) == "DPO"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"loss_type": "ipo"}, "IPO"),
        ({"loss_type": ["sppo_hard", "sft"], "loss_weights": [0.2, 1.0]}, "SPPO (hard) + SFT"),
        ({"loss_type": ["sigmoid", "sft"]}, "DPO + SFT"),
        ({"loss_type": ["sft"]}, "SFT on chosen, by DPO's trainer"),
        ({"loss_weights": [-1.0]}, "DPO, weight -1 of sigmoid"),
        ({"loss_weights": [0.0]}, "no loss"),
        ({"loss_type": "robust", "label_smoothing": 0.1}, "robust DPO, label smoothing 0.1"),
        ({"f_divergence_type": "js_divergence"}, "DPO, js divergence"),
        ({"ld_alpha": 0.5}, "DPO, length-desensitised 0.5"),
        ({"use_weighting": True}, "DPO, WPO weights"),
        ({"sync_ref_model": True}, "DPO, moving reference"),
    ],
)
def test_any_other_objective_stands_in_the_label(settings: dict[str, Any], words: str) -> None:
    assert of(**settings) == words


def test_every_loss_of_trl_has_a_name_of_its_own() -> None:
    names = {loss: of(loss_type=loss) for loss in _losses_of(DPOConfig)}
    assert len(names) > 10 and len(set(names.values())) == len(names)
    assert [loss for loss, name in names.items() if name == "DPO"] == ["sigmoid"]
    assert not [name for name in names.values() if name.startswith("loss ")]


def test_every_field_of_trls_config_was_looked_at() -> None:
    """A new version may add one that changes the objective."""
    import trl

    base = {f.name for f in dataclasses.fields(trl.DPOConfig.__mro__[1])}
    own = {f.name for f in dataclasses.fields(trl.DPOConfig)} - base
    named = {
        "loss_type", "loss_weights", "label_smoothing", "f_divergence_type", "ld_alpha",
        "use_weighting", "sync_ref_model",
    }  # fmt: skip
    of_a_named_one = {
        "f_alpha_divergence_coef", "discopop_tau", "ref_model_mixup_alpha", "ref_model_sync_steps",
    }  # fmt: skip
    no_objective = {
        "activation_offloading", "beta", "dataset_num_proc", "disable_dropout", "max_length",
        "model_init_kwargs", "pad_to_multiple_of", "pad_token", "padding_free",
        "precompute_ref_batch_size", "precompute_ref_log_probs", "router_aux_loss_coef",
        "truncation_mode", "trust_remote_code",
    }  # fmt: skip
    assert named <= own
    assert own == named | of_a_named_one | (no_objective & own), own - named - of_a_named_one


def test_a_smoothing_that_no_loss_reads_is_refused() -> None:
    section = DPOSection.model_validate({"label_smoothing": 0.1})
    with pytest.raises(RecipeError, match=r"dpo: label_smoothing: 0\.1 is refused: .*robust"):
        dpo_arguments(section, "out", 0)


def test_other_methods_name_what_changes_their_objective() -> None:
    def named(method: Any, **settings: Any) -> str:
        return method.label(method.section.model_validate(settings))

    assert named(PPO) == named(PPO, kl_coef=0.3) == "PPO"
    assert named(PPO, kl_coef=0.0) == "PPO, no KL penalty"
    assert named(PPO, kl_estimator="k3") == "PPO, k3 penalty"
    assert named(PPO, reference_ema=0.9) == "PPO, moving reference"
    assert named(GRPO, loss_type="grpo", beta=0.1) == "GRPO"
    assert named(GRPO, loss_type="dr_grpo", beta=0.1) == "GRPO (dr grpo loss)"
    assert named(GRPO) == "GRPO (dapo loss, no KL penalty)"
