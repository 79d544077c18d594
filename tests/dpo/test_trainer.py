"""DPO is TRL's, to the last digits that matter."""

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import trl
from datasets import Dataset
from transformers import GPT2LMHeadModel, OPTConfig, OPTForCausalLM

from rlhf_compare.dpo.config import DPOConfig
from rlhf_compare.dpo.trainer import EncodedDPOTrainer
from tests.dpo.conftest import SETTINGS, MakeDPO

LOSSES: list[tuple[list[str], list[float] | None]] = [
    (["sigmoid"], None),
    (["ipo"], None),
    (["hinge"], None),
    (["robust"], None),
    (["sppo_hard"], None),
    (["sigmoid", "sft"], [0.3, 1.0]),
]


class AsItIs(trl.DPOTrainer):
    """TRL's own, given token ids: its tokenisation is the one thing that must differ."""

    def _prepare_dataset(self, dataset: Dataset, *_: Any, **__: Any) -> Dataset:
        return dataset


def loss_and_gradient(trainer: Any, rows: list[dict[str, Any]]) -> tuple[float, torch.Tensor]:
    trainer.model.train()
    trainer.model.zero_grad()
    loss = trainer.compute_loss(trainer.model, trainer.data_collator(rows))
    loss.backward()
    gradient = torch.cat([p.grad.flatten() for p in trainer.model.parameters()])
    return float(loss.detach()), gradient.clone()


def moved(policy: GPT2LMHeadModel) -> None:
    """A policy that is its reference has the same loss under every data; this one has moved."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in policy.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
            parameter.add_(0.05 * noise)


@pytest.mark.parametrize(("loss_type", "weights"), LOSSES, ids=lambda v: str(v))
def test_loss_and_gradient_are_those_of_trl(
    make_dpo: MakeDPO,
    policy: GPT2LMHeadModel,
    pairs: Dataset,
    tokenizer: Any,
    tmp_path: Path,
    loss_type: list[str],
    weights: list[float] | None,
) -> None:
    """In float64, on one batch: ours with cached reference, TRL's own with a live one."""
    policy = policy.double()
    extra = {"loss_type": loss_type, "loss_weights": weights}
    if loss_type == ["robust"]:  # of these the only one that reads it
        extra["label_smoothing"] = 0.1
    theirs = AsItIs(
        model=copy.deepcopy(policy),
        ref_model=copy.deepcopy(policy),
        args=trl.DPOConfig(
            **{
                **SETTINGS,
                "precompute_ref_log_probs": False,
                "output_dir": str(tmp_path / "trl"),
                **extra,
            }
        ),
        processing_class=tokenizer,
        train_dataset=pairs,
    )
    ours = make_dpo(extra, model=policy)
    moved(ours.model), moved(theirs.model)
    loss, gradient = loss_and_gradient(ours, [ours.train_dataset[i] for i in range(4)])
    expected, direction = loss_and_gradient(theirs, [theirs.train_dataset[i] for i in range(4)])
    assert loss == pytest.approx(expected, abs=1e-5)
    # TRL's head computes in float32 whatever the weights are; that rounding grows with the gradient
    scale = max(1.0, float(direction.abs().max()))
    torch.testing.assert_close(gradient, direction, rtol=1e-5, atol=1e-5 * scale)
    assert float(gradient.norm()) > 0.01


def test_sigmoid_loss_by_hand(make_dpo: MakeDPO, policy: GPT2LMHeadModel, pairs: Dataset) -> None:
    """-log sigmoid(beta (log-ratio chosen - log-ratio rejected)), each response alone and unpadded
    through the model as transformers calls it (Rafailov et al. 2023, equation 7)."""
    policy = policy.double()
    reference = copy.deepcopy(policy).eval()
    trainer = make_dpo(model=policy)
    moved(policy)
    policy.eval()

    def logp(model: Any, row: dict[str, list[int]], side: str) -> torch.Tensor:
        ids = torch.tensor([row["prompt_ids"] + row[side]])
        start = len(row["prompt_ids"])
        logs = model(ids).logits[0, start - 1 : -1].log_softmax(-1)
        return logs.gather(1, ids[0, start:].unsqueeze(1)).sum()

    rows = [trainer.train_dataset[i] for i in range(4)]
    with torch.no_grad():
        ratios = {
            side: torch.stack([logp(policy, r, side) - logp(reference, r, side) for r in rows])
            for side in ("chosen_ids", "rejected_ids")
        }
    expected = -F.logsigmoid(0.5 * (ratios["chosen_ids"] - ratios["rejected_ids"])).mean()
    loss, _ = loss_and_gradient(trainer, rows)
    assert loss == pytest.approx(float(expected), abs=1e-5)
    logged = trainer._metrics["train"]
    assert logged["logratios/chosen"][-1] == pytest.approx(float(ratios["chosen_ids"].mean()), 1e-4)
    assert logged["logratios/rejected"][-1] == pytest.approx(
        float(ratios["rejected_ids"].mean()), 1e-4
    )


def test_like_lengths_share_a_batch(make_dpo: MakeDPO, pairs: Dataset) -> None:
    """Two lengths: sorted within stretches of several batches, none has to be mixed."""
    sides = [[50] if i % 2 else [50] * 30 for i in range(96)]
    uneven = Dataset.from_dict(
        {"prompt_ids": [[40]] * 96, "chosen_ids": sides, "rejected_ids": sides}
    )

    def padding(strategy: str) -> float:
        trainer = make_dpo({"train_sampling_strategy": strategy}, train_dataset=uneven)
        trainer.train()
        rows = [r["padding_share"] for r in trainer.state.log_history if "padding_share" in r]
        return sum(rows) / len(rows)

    assert padding("group_by_length") < 0.05
    assert padding("random") > 0.2


def test_settings_that_contradict_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="kl_budget needs keep: best"):
        DPOConfig(output_dir=str(tmp_path), kl_budget=3.0, bf16=False)
    with pytest.raises(ValueError, match="is out of range, it must be above 0"):
        DPOConfig(
            output_dir=str(tmp_path), kl_budget=-1.0, keep="best", eval_strategy="steps", bf16=False
        )


def test_mixed_precision_with_a_live_reference(make_dpo: MakeDPO, policy: GPT2LMHeadModel) -> None:
    trainer = make_dpo(
        {"bf16": True, "precompute_ref_log_probs": False, "use_cpu": True},
        ref_model=copy.deepcopy(policy),
    )
    trainer.train()
    assert trainer.state.log_history[0]["loss"] == pytest.approx(0.693, abs=0.01)


def test_tokens_arrive_as_they_were_encoded(make_dpo: MakeDPO, pairs: Dataset) -> None:
    trainer: EncodedDPOTrainer = make_dpo()
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(16)])
    for side, block in zip(("chosen_ids", "rejected_ids"), (0, 16), strict=True):
        for i, row in enumerate(pairs):
            real = batch["attention_mask"][block + i].bool()
            completion = batch["completion_mask"][block + i].bool()
            ids = batch["input_ids"][block + i]
            assert ids[real].tolist() == row["prompt_ids"] + row[side]
            assert ids[completion].tolist() == row[side]


def test_streams_are_trained_on_or_refused_with_the_reason(
    make_dpo: MakeDPO, pairs: Dataset
) -> None:
    stream = pairs.to_iterable_dataset()
    for role in ("train_dataset", "eval_dataset"):
        with pytest.raises(ValueError, match="not supported with IterableDataset"):
            make_dpo(**{role: stream}, settings={"max_steps": 2})
    live = {"precompute_ref_log_probs": False, "max_steps": 2}
    with pytest.raises(ValueError, match="group_by_length needs all lengths"):
        make_dpo({**live, "train_sampling_strategy": "group_by_length"}, train_dataset=stream)


def test_a_stream_with_a_live_reference(
    make_dpo: MakeDPO, policy: GPT2LMHeadModel, pairs: Dataset
) -> None:
    live = {"precompute_ref_log_probs": False, "max_steps": 2}
    trainer = make_dpo(
        live, train_dataset=pairs.to_iterable_dataset(), ref_model=copy.deepcopy(policy)
    )
    trainer.train()
    assert trainer.state.log_history[0]["loss"] == pytest.approx(0.693, abs=0.01)


def test_trls_own_config_is_taken(make_dpo: MakeDPO, pairs: Dataset, tmp_path: Path) -> None:
    args = trl.DPOConfig(**{**SETTINGS, "output_dir": str(tmp_path / "out")})
    trainer = make_dpo(args=args, eval_dataset=pairs)
    trainer.train()
    assert "eval_selection" not in trainer.evaluate()


def test_dropout_as_a_number_is_off(make_dpo: MakeDPO, tokenizer: Any) -> None:
    """At the start policy and reference are one model, so the loss is log 2."""
    config = OPTConfig(
        vocab_size=len(tokenizer), hidden_size=16, ffn_dim=16, word_embed_proj_dim=16,
        num_hidden_layers=2, num_attention_heads=2, dropout=0.5, init_std=0.3,
    )  # fmt: skip
    trainer = make_dpo({"max_steps": 1}, model=OPTForCausalLM(config))
    trainer.train()
    assert trainer.state.log_history[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)
