"""Models and lines are counted, not declared."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import GPT2LMHeadModel

from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.ppo.models import PolicyAndValue
from rlhf_compare.runs.complexity import code_behind, code_lines, models_held

from ..conftest import small_config


def size(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.fixture
def lm(tokenizer: Any) -> Any:
    return lambda: GPT2LMHeadModel(small_config(tokenizer))


class Trainer:
    """Stands for a trainer of ours: its class lies in this package."""

    __module__ = "rlhf_compare.made_up"

    def __init__(self, **parts: Any) -> None:
        vars(self).update(parts)


def test_every_model_counts_by_its_role(lm: Any) -> None:
    policy, reference, scored = lm(), lm(), lm()
    scorer = Trainer(model=scored)

    def reward(texts: list[str]) -> Any:
        return scorer.model(texts)

    trainer = Trainer(model=policy, ref_model=reference, reward_funcs=[reward])
    each = size(policy)
    assert models_held(trainer) == {"policy": each, "reference": each, "reward model": each}


def test_a_closure_whose_variable_has_no_value_yet_holds_nothing(lm: Any) -> None:
    policy = lm()

    def unbound() -> Any:
        return later

    trainer = Trainer(model=policy, reward_funcs=[unbound])
    assert models_held(trainer) == {"policy": size(policy)}
    later = None


def test_policy_and_critic_in_one_module_are_two_models(lm: Any) -> None:
    policy = lm()
    critic = ScalarHeadModel(lm().transformer, pooling="last")
    both = PolicyAndValue(policy, critic)
    held = models_held(Trainer(model=both, model_wrapped=both))
    assert held == {"policy": size(policy), "value model": size(critic)}


def test_shared_weights_count_once(lm: Any) -> None:
    policy = lm()
    head = PolicyAndValue(policy, None)
    held = models_held(Trainer(model=head, ref_model=policy))
    assert held == {"policy": size(policy), "value model": policy.config.hidden_size}


def test_what_belongs_to_the_evaluation_is_not_counted(lm: Any) -> None:
    policy = lm()
    trainer = Trainer(model=policy, probe=Trainer(reference=lm()), other=SimpleNamespace(m=lm()))
    assert models_held(trainer) == {"policy": size(policy)}


def test_a_line_of_code_is_no_comment_blank_or_docstring(tmp_path: Path) -> None:
    path = tmp_path / "some.py"
    path.write_text(
        '''"""What it is.

More of it.
"""

# why
import os  # for the path


def f(
    a: int,
) -> str:
    """What it does."""
    # why
    text = """two
    lines"""
    return text
'''
    )
    assert code_lines(path) == 7  # import, three of the def, two of the text, return


def test_lines_are_those_of_the_trainers_own_folders_and_of_trl() -> None:
    from rlhf_compare.dpo.trainer import EncodedDPOTrainer
    from rlhf_compare.ppo.trainer import PPOTrainer

    ppo = code_behind(object.__new__(PPOTrainer))
    dpo = code_behind(object.__new__(EncodedDPOTrainer))
    assert ppo["trl"] == 0 and dpo["trl"] > 300
    assert ppo["here"] > dpo["here"] > 100
