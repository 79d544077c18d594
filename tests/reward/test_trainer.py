"""The trainer's promises: one forward a response, no dependence on batches, TRL for K = 2."""

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from trl import RewardConfig, RewardTrainer

from rlhf_compare.errors import StageFailedError
from rlhf_compare.models.adapters import load_reward_model, new_reward_adapter
from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.reward.trainer import EarlyStop, RankingTrainer

from .conftest import MakeTrainer, backbone, ranked_rows

# Adam turns rounding into steps where a gradient is 0 by symmetry, as that of a key's bias is
SGD = {"optim": "sgd", "learning_rate": 0.05}


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def test_every_response_goes_through_the_model_once_an_epoch(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer({"num_train_epochs": 2})
    seen: Counter[tuple[int, ...]] = Counter()
    original = trainer.model.backbone.forward

    def watch(input_ids: Any, attention_mask: Any, **rest: Any) -> Any:
        for ids, mask in zip(input_ids, attention_mask.bool(), strict=True):
            seen[tuple(ids[mask].tolist())] += 1
        return original(input_ids=input_ids, attention_mask=attention_mask, **rest)

    trainer.model.backbone.forward = watch
    trainer.train()
    rows = trainer.train_dataset
    expected = {tuple(row["prompt_ids"] + ids) for row in rows for ids in row["response_ids"]}
    assert set(seen) == expected and set(seen.values()) == {2}
    # K responses cost K forwards and give C(K, 2) pairs, where pairs one by one cost two each
    pairs = 2 * sum(len(list(itertools.combinations(s, 2))) for s in rows["scores"])
    assert trainer.forwards == 2 * len(expected) == sum(seen.values())
    assert trainer.pairs == pairs > trainer.forwards and trainer.ties == 0
    assert trainer.tokens_trained == 2 * sum(map(len, expected))


def test_a_step_in_four_parts_is_the_step_in_one(make_trainer: MakeTrainer) -> None:
    """K differs from prompt to prompt, and the last part has fewer prompts than the others."""
    rows = ranked_rows(0, prompts=11)
    whole = make_trainer(
        {"per_device_train_batch_size": 11, "max_steps": 3, **SGD}, train_dataset=rows
    )
    parts = make_trainer(
        {
            "per_device_train_batch_size": 3,
            "gradient_accumulation_steps": 4,
            "max_steps": 3,
            **SGD,
        },
        train_dataset=rows,
    )
    for trainer in (whole, parts):
        trainer.train()
    for name, value in weights(whole.model).items():
        torch.testing.assert_close(weights(parts.model)[name], value, rtol=1e-4, atol=1e-5)
    logged = [[r["loss"] for r in t.state.log_history if "loss" in r] for t in (whole, parts)]
    assert logged[0] == pytest.approx(logged[1], rel=1e-4)


def test_parts_by_length_change_nothing_but_the_padding(make_trainer: MakeTrainer) -> None:
    whole, parts = (make_trainer({**SGD, "forward_batch_size": size}) for size in (None, 3))
    widths: list[tuple[int, int]] = []
    original = parts.model.forward

    def watch(input_ids: Any, attention_mask: Any, **rest: Any) -> Any:
        assert attention_mask[:, -1].any()  # no column of padding alone
        widths.append(tuple(input_ids.shape))
        return original(input_ids=input_ids, attention_mask=attention_mask, **rest)

    parts.model.forward = watch
    for trainer in (whole, parts):
        trainer.train()
    assert parts.forwards == whole.forwards and max(rows for rows, _ in widths) == 3
    assert len({width for _, width in widths}) > 1
    for name, value in weights(whole.model).items():
        torch.testing.assert_close(weights(parts.model)[name], value, rtol=1e-4, atol=1e-5)


def test_evaluation_sees_every_response(make_trainer: MakeTrainer) -> None:
    rows = ranked_rows(0)
    trainer = make_trainer({"max_responses": 2}, eval_dataset=rows)
    seen = sum(len(batch["groups"]) for batch in trainer.get_eval_dataloader())
    assert seen == sum(map(len, rows["scores"]))
    assert all(len(batch["groups"]) == 8 for batch in trainer.get_train_dataloader())


@pytest.mark.parametrize("centering", [None, 0.1])
def test_pairs_train_as_trl_trains_them(
    make_trainer: MakeTrainer, tokenizer: PreTrainedTokenizerFast, centering: float | None
) -> None:
    eos = tokenizer.eos_token_id
    pairs = Dataset.from_list(
        [
            {"prompt_ids": [40 + n], "chosen_ids": [50 + n, eos], "rejected_ids": [60, n, eos]}
            for n in range(8)
        ]
    )
    ranked = Dataset.from_list(
        [
            {
                "prompt_ids": row["prompt_ids"],
                "response_ids": [row["rejected_ids"], row["chosen_ids"]],
                "scores": [0.0, 1.0],
            }
            for row in pairs
        ]
    )
    settings = {"center_rewards_coefficient": centering, "num_train_epochs": 3, **SGD}
    ours = make_trainer(settings, train_dataset=ranked)
    torch.manual_seed(0)
    theirs = RewardTrainer(
        model=ScalarHeadModel(backbone(tokenizer), init_std=0.5),
        args=RewardConfig(
            **{
                name: getattr(ours.args, name)
                for name in (
                    "output_dir", "per_device_train_batch_size", "num_train_epochs",
                    "optim", "learning_rate", "logging_steps", "save_strategy", "disable_tqdm",
                    "bf16", "gradient_checkpointing", "lr_scheduler_type",
                    "center_rewards_coefficient",
                )
            },
            report_to="none",
        ),
        train_dataset=pairs.map(
            lambda row: {
                side: row["prompt_ids"] + row[side] for side in ("chosen_ids", "rejected_ids")
            }
        ),
        processing_class=tokenizer,
    )  # fmt: skip
    for trainer in (ours, theirs):
        trainer.train()
    for name, value in weights(theirs.model).items():
        torch.testing.assert_close(weights(ours.model)[name], value, rtol=1e-4, atol=1e-5)
    shared = ("loss", "accuracy", "margin", "mean_reward", "min_reward", "max_reward", "num_tokens")
    for mine, their in zip(ours.state.log_history, theirs.state.log_history, strict=True):
        for name in shared:
            if name in their:
                assert mine[name] == pytest.approx(their[name], rel=1e-3, abs=1e-5), name


def test_the_order_is_learned_and_ties_are_left_out(make_trainer: MakeTrainer) -> None:
    rows = ranked_rows(0).map(lambda row: {"scores": [min(s, 1.0) for s in row["scores"]]})
    trainer = make_trainer({"num_train_epochs": 15}, train_dataset=rows)
    trainer.train()
    assert trainer.ties > 0
    logged = [row for row in trainer.state.log_history if "accuracy" in row]
    assert logged[-1]["accuracy"] == 1.0 and logged[-1]["loss"] < 0.5 * logged[0]["loss"]


def test_margins_and_smoothing_reach_the_loss(make_trainer: MakeTrainer) -> None:
    batch = make_trainer().data_collator(list(ranked_rows(0)))
    losses = []
    for settings in ({}, {"margins": True}, {"label_smoothing": 0.2}):
        trainer = make_trainer(settings)
        losses.append(float(trainer.compute_loss(trainer.model, batch).detach()))
    assert len(set(losses)) == 3


def test_best_weights_are_kept_and_training_stops(make_trainer: MakeTrainer) -> None:
    """The validation ranks run against the training's: it is best before anything is learned, so
    the first evaluation stays the best."""
    validation = ranked_rows(0).map(lambda row: {"scores": [-s for s in row["scores"]]})
    stop = EarlyStop(patience=2)
    kept: list[dict[str, torch.Tensor]] = []

    class Spy(EarlyStop):
        def on_evaluate(self, *args: Any, **kwargs: Any) -> None:
            kept.append(weights(kwargs["model"]))

    settings = {"num_train_epochs": 10, "eval_strategy": "epoch"}
    trainer = make_trainer(settings, eval_dataset=validation, callbacks=[Spy(1), stop])
    trainer.train()
    assert len(stop.history) < 10 and stop.best == len(stop.history) - 3
    assert stop.history[0]["accuracy"] > stop.history[-1]["accuracy"]
    final = weights(trainer.model)
    assert all(torch.equal(final[n], kept[stop.best][n]) for n in final)
    assert not all(torch.equal(final[n], kept[-1][n]) for n in final)


def test_lora_trains_the_adapter_and_the_head_alone(
    make_trainer: MakeTrainer, tokenizer: PreTrainedTokenizerFast, tmp_path: Any
) -> None:
    torch.manual_seed(0)
    base = GPT2LMHeadModel(backbone(tokenizer).config)
    base.save_pretrained(tmp_path / "base")
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["c_attn"], fan_in_fan_out=True)
    trainer = make_trainer({"num_train_epochs": 3}, model=new_reward_adapter(base, config, "mean"))
    before = weights(trainer.model)
    trainer.train()
    moved = {n for n, value in weights(trainer.model).items() if not torch.equal(value, before[n])}
    assert moved == {n for n in before if "lora_" in n or n == "head.weight"}
    trainer.model.save_pretrained(tmp_path / "reward")
    again = load_reward_model(tmp_path / "reward", tmp_path / "base").eval()
    batch = trainer.data_collator(list(ranked_rows(0)))
    ids, mask = batch["input_ids"], batch["attention_mask"].bool()
    assert again.pooling == "mean"
    torch.testing.assert_close(again.scores(ids, mask), trainer.model.eval().scores(ids, mask))


def test_a_nan_stops_before_a_step(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer()
    trainer.model.head.weight.data[0, 0] = float("nan")
    with pytest.raises(StageFailedError, match="loss is nan at step 0"):
        trainer.train()


def test_other_configs_are_named(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    plain = RewardConfig(output_dir=str(tmp_path), bf16=False)
    with pytest.raises(TypeError, match=r"needs a RewardModelConfig, .* got RewardConfig"):
        RankingTrainer(args=plain, model=None, processing_class=None, train_dataset=None)


@pytest.mark.parametrize("targets", [["c_attn"], ["c_attn", "wte"]], ids=str)
def test_adapters_under_checkpointed_activations_train_the_same(
    make_trainer: MakeTrainer, tokenizer: Any, targets: list[str]
) -> None:
    """TRL's default is on: weights are those without, to the bit, and every one of them moved."""
    ends = []
    for on in (False, True):
        torch.manual_seed(2)
        eos = tokenizer.eos_token_id
        config = GPT2Config(
            vocab_size=len(tokenizer), n_layer=2, n_head=2, n_embd=16, n_positions=64,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=eos, eos_token_id=eos,
        )  # fmt: skip
        adapters = LoraConfig(r=4, lora_alpha=8, target_modules=targets)
        model = new_reward_adapter(GPT2LMHeadModel(config), adapters)
        trained = [p for p in model.parameters() if p.requires_grad]
        before = [p.detach().clone() for p in trained]
        make_trainer({"gradient_checkpointing": on}, model=model).train()
        assert all(not torch.equal(a, b) for a, b in zip(before, trained, strict=True))
        assert len(trained) == 1 + 4 + 2 * ("wte" in targets)
        ends.append([p.detach().clone() for p in trained])
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


def test_a_model_that_the_trainer_saves_can_be_loaded(
    make_trainer: MakeTrainer, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    trainer = make_trainer()
    trainer.train()
    trainer.save_model(str(tmp_path / "whole"))
    base = GPT2LMHeadModel(backbone(tokenizer).config)
    base.save_pretrained(tmp_path / "base")
    adapted = make_trainer(model=new_reward_adapter(base, LoraConfig(target_modules=["c_attn"])))
    adapted.train()
    adapted.save_model(str(tmp_path / "adapter"))
    batch = trainer.data_collator(list(ranked_rows(0)))
    ids, mask = batch["input_ids"], batch["attention_mask"].bool()
    for name, kept in (("whole", trainer), ("adapter", adapted)):
        again = load_reward_model(tmp_path / name, tmp_path / "base").eval()
        torch.testing.assert_close(again.scores(ids, mask), kept.model.eval().scores(ids, mask))
        assert AutoTokenizer.from_pretrained(tmp_path / name).eos_token == tokenizer.eos_token
