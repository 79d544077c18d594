"""DPO's ``sft`` loss: the gradient of a step does not depend on its cut into micro-batches."""

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from torch import Tensor
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from rlhf_compare.dpo.config import DPOSection
from rlhf_compare.dpo.stage import dpo_arguments
from rlhf_compare.dpo.trainer import EncodedDPOTrainer

from ..conftest import small_config

PAIRS = 10  # in steps of 8: the last one is short
LOSSES: list[list[str]] = [["sigmoid", "sft"], ["sft"], ["sppo_hard", "sft"], ["sigmoid"]]


def pairs() -> Dataset:
    """Responses of very unequal lengths."""
    rows = [
        {
            "prompt_ids": [1 + i, 2, 3][: 1 + i % 3],
            "chosen_ids": [5 + i] * (1 + 3 * i) + [0],
            "rejected_ids": [40 + i] * (1 + (7 * i) % 5) + [0],
        }
        for i in range(PAIRS)
    ]
    return Dataset.from_list(rows)


def trainer_of(
    tokenizer: PreTrainedTokenizerFast, folder: Path, losses: list[str], size: int, parts: int
) -> EncodedDPOTrainer:
    torch.manual_seed(0)
    config = small_config(tokenizer)
    config.resid_pdrop = config.embd_pdrop = config.attn_pdrop = 0.0
    section = DPOSection(
        loss_type=losses,
        per_device_train_batch_size=size,
        gradient_accumulation_steps=parts,
        train_sampling_strategy="sequential",
        gradient_checkpointing=False,
        num_train_epochs=1,
        max_grad_norm=1e9,
        learning_rate=1e-2,
        lr_scheduler_type="constant",
        optim="sgd",
        bf16=False,
        logging_steps=1,
    )
    return EncodedDPOTrainer(
        model=GPT2LMHeadModel(config),
        args=dpo_arguments(section, str(folder), 0),
        train_dataset=pairs(),
        processing_class=tokenizer,
    )


def trained(*args: Any) -> tuple[Tensor, float]:
    """All weights after two steps of SGD, which moves by the gradient itself, and the loss."""
    trainer = trainer_of(*args)
    trainer.train()
    weights = torch.cat([p.detach().flatten() for p in trainer.model.parameters()])
    return weights, trainer.state.log_history[0]["loss"]


@pytest.mark.parametrize("losses", LOSSES, ids="+".join)
def test_the_cut_into_micro_batches_changes_nothing(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, losses: list[str]
) -> None:
    whole, loss = trained(tokenizer, tmp_path, losses, 8, 1)
    for size, parts in ((4, 2), (2, 4), (1, 8)):
        cut, other = trained(tokenizer, tmp_path, losses, size, parts)
        # rounding alone; sppo_hard's gradients are some ten times as large
        room = 2e-5 if "sppo_hard" in losses else 1e-6
        torch.testing.assert_close(cut, whole, rtol=0, atol=room)
        assert other == pytest.approx(loss, abs=1e-4)


def test_an_uncut_step_is_trls_own_to_the_bit(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, _ = trained(tokenizer, tmp_path, ["sppo_hard", "sft"], 8, 1)
    monkeypatch.setattr(EncodedDPOTrainer, "_weights_of", lambda self, _: list(self.loss_weights))
    theirs, _ = trained(tokenizer, tmp_path, ["sppo_hard", "sft"], 8, 1)
    assert torch.equal(ours, theirs)


@pytest.mark.slow
def test_the_losses_that_trl_has_are_known_to_be_means_over_pairs(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """``ipo`` and ``sigmoid_norm`` divide by a response's own length, so any cut gives the same;
    ``aot`` sorts the pairs of a micro-batch, which is what it is."""
    for losses in (["ipo"], ["sigmoid_norm"], ["discopop"], ["nca_pair"], ["apo_zero"]):
        whole, _ = trained(tokenizer, tmp_path, losses, 8, 1)
        cut, _ = trained(tokenizer, tmp_path, losses, 2, 4)
        torch.testing.assert_close(cut, whole, rtol=0, atol=2e-6)
