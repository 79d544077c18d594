"""The same ids reach SFT, reward model, PPO, DPO and generation, read out of the real trainers'
batches, with padding removed by mask."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModel, PreTrainedModel, PreTrainedTokenizerFast

from rlhf_compare.data.config import DataConfig, TaskConfig
from rlhf_compare.data.encoding import encode_prompt
from rlhf_compare.data.prepare import PreparedData, prepare
from rlhf_compare.data.turns import closing_id, opening_of, turn_ends
from rlhf_compare.data.views import demonstration_view, pairs_view, prompt_view, ranked_view
from rlhf_compare.dpo.config import DPOSection
from rlhf_compare.dpo.stage import dpo_arguments
from rlhf_compare.dpo.trainer import EncodedDPOTrainer
from rlhf_compare.models.config import ModelConfig
from rlhf_compare.models.generation import generate
from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.models.policy import build_policy
from rlhf_compare.models.tokenizer import train_tokenizer
from rlhf_compare.ppo.config import PPOSection
from rlhf_compare.ppo.stage import ppo_arguments
from rlhf_compare.ppo.trainer import PPOTrainer
from rlhf_compare.reward.config import RewardSection
from rlhf_compare.reward.stage import reward_arguments
from rlhf_compare.reward.trainer import RankingTrainer
from rlhf_compare.runs.imitation import MeteredSFTTrainer
from rlhf_compare.sft.config import SFTSection
from rlhf_compare.sft.stage import sft_arguments
from rlhf_compare.tensors.padding import pad_sequences
from tests.data.families import CHAT, chat_tokenizer, family

from ..models.families import LLAMA_3, byte_level, metaspace

PAIRS = 6


CPU = {"bf16": False, "dataloader_pin_memory": False}


Ids = list[list[int]]


@dataclass
class Setting:
    """Encoded pairs of unequal length and a model for them."""

    tokenizer: PreTrainedTokenizerFast
    pairs: Any
    policy: PreTrainedModel
    output_dir: str
    prepared: PreparedData  # its files live as long as it does
    end: int  # the last token of every response

    @property
    def prompts(self) -> Ids:
        return sorted(self.pairs["prompt_ids"])

    @property
    def demonstrations(self) -> Ids:
        return sorted(self.pairs["demonstration_ids"])

    def ranked(self, *places: int) -> Ids:
        return sorted(row["response_ids"][place] for row in self.pairs for place in places)

    def sequences(self, *places: int) -> Ids:
        return sorted(
            row["prompt_ids"] + row["response_ids"][place] for row in self.pairs for place in places
        )


@pytest.fixture(
    params=["trained", "gpt2", "wordpiece", "unigram", "chat", "bos", "bos_metaspace", "turn_end"]
)
def setting(
    request: pytest.FixtureRequest, tmp_path: Path, tiny_model_config: dict[str, Any]
) -> Setting:
    def get_tokenizer(texts: Any) -> PreTrainedTokenizerFast:
        if request.param == "gpt2":
            return request.getfixturevalue("gpt2_tokenizer")
        if request.param == "chat":
            return chat_tokenizer()
        if request.param in ("bos", "turn_end"):
            return byte_level(chat_template=LLAMA_3 if request.param == "turn_end" else None)
        if request.param == "bos_metaspace":
            return metaspace()
        if request.param in ("wordpiece", "unigram"):
            return family(request.param, list(texts))
        return train_tokenizer(texts, vocab_size=600)

    made: list[PreTrainedTokenizerFast] = []
    # demonstrations of both kinds
    chat = request.param in ("chat", "turn_end")
    task = TaskConfig(sft_prefix_share=0.5, chat_template=chat)
    prepared = prepare(
        DataConfig(max_rows=40, eval_share=0.5, max_prompt_length=400, max_length=900),
        task,
        lambda texts: made.append(get_tokenizer(texts)) or made[0],
    )
    pairs = prepared.train.select(range(PAIRS))
    assert len({len(ids) for ids in pairs["prompt_ids"]}) > 1  # else nothing would be padded
    assert {row["demonstration"] == row["responses"][0] for row in pairs} == {True, False}
    torch.manual_seed(0)
    policy = build_policy(ModelConfig(config=tiny_model_config), made[0])
    end = closing_id(made[0], chat)
    return Setting(made[0], pairs, policy, str(tmp_path / "stage"), prepared, end)


def real(ids: Tensor, mask: Tensor) -> Ids:
    """Rows of token ids where ``mask``."""
    return sorted(row[keep].tolist() for row, keep in zip(ids, mask.bool(), strict=True))


def only_batch(trainer: Any) -> dict[str, Tensor]:
    (batch,) = list(trainer.get_train_dataloader())
    return batch


def scalar_head(policy: PreTrainedModel) -> ScalarHeadModel:
    return ScalarHeadModel(AutoModel.from_config(policy.config))


def test_the_pairs_keep_the_contract(setting: Setting) -> None:
    end, bos = setting.end, opening_of(setting.tokenizer)
    for row in setting.pairs:
        assert row["prompt_ids"] == encode_prompt(setting.tokenizer, row["prompt"])
        assert row["prompt_ids"][: len(bos)] == bos
        if bos:
            assert row["prompt_ids"].count(bos[0]) == 1
        texts = [*row["responses"], row["demonstration"]]
        for text, ids in zip(texts, [*row["response_ids"], row["demonstration_ids"]], strict=True):
            plain = setting.tokenizer(text, add_special_tokens=False)["input_ids"]
            assert ids == [*plain, end]
            assert ids.count(end) == 1
    if setting.tokenizer.chat_template == LLAMA_3:
        assert setting.tokenizer.convert_ids_to_tokens(end) == "<|eot_id|>"
        for row in setting.pairs:  # as the template itself encodes the whole conversation
            question = (
                row["prompt"]
                .split("<|end_header_id|>\n\n")[1]
                .removesuffix("<|eot_id|><|start_header_id|>assistant")
            )
            messages = [
                {"role": "user", "content": question},
                {"role": "assistant", "content": row["responses"][0]},
            ]
            whole = setting.tokenizer.apply_chat_template(messages)["input_ids"]
            assert row["prompt_ids"] + row["response_ids"][0] == whole
    if setting.tokenizer.chat_template == CHAT:
        for row in setting.pairs:  # as the template itself writes the whole conversation
            question = row["prompt"].removeprefix("<|user|>\n").removesuffix("\n<|assistant|>\n")
            messages = [
                {"role": "user", "content": question},
                {"role": "assistant", "content": row["responses"][0]},
            ]
            text = setting.tokenizer.apply_chat_template(messages, tokenize=False)
            assert text == f"{row['prompt']}{row['responses'][0]}{setting.tokenizer.eos_token}"
            assert row["prompt_ids"][0] == setting.tokenizer.convert_tokens_to_ids("<|user|>")
    if len(setting.tokenizer) == 50257:
        assert {ids[-1] for ids in setting.prompts} == {220}
        assert {ids[0] for ids in setting.ranked(0)} == {5756}
        assert all(3914 not in ids for ids in setting.sequences(0, 1))


def test_sft(setting: Setting) -> None:
    section = SFTSection(per_device_train_batch_size=PAIRS, **CPU)
    batch = only_batch(
        MeteredSFTTrainer(
            model=setting.policy,
            args=sft_arguments(section, setting.output_dir, 0),
            train_dataset=demonstration_view(setting.pairs),
            processing_class=setting.tokenizer,
        )
    )
    counted = batch["labels"] != -100
    mask = batch["attention_mask"].bool()
    assert real(batch["input_ids"], mask) == sorted(
        row["prompt_ids"] + row["demonstration_ids"] for row in setting.pairs
    )
    assert real(batch["labels"], counted) == setting.demonstrations
    assert real(batch["input_ids"], mask & ~counted) == setting.prompts
    assert not (counted & ~mask).any()


def test_reward(setting: Setting) -> None:
    section = RewardSection(per_device_train_batch_size=PAIRS, **CPU)
    batch = only_batch(
        RankingTrainer(
            model=scalar_head(setting.policy),
            args=reward_arguments(section, setting.output_dir, 0),
            train_dataset=ranked_view(setting.pairs),
            processing_class=setting.tokenizer,
        )
    )
    ids, mask, best = batch["input_ids"], batch["attention_mask"], batch["ranks"] > 0
    assert real(ids[best], mask[best]) == setting.sequences(0)
    assert real(ids[~best], mask[~best]) == setting.sequences(1)


def test_ppo(setting: Setting) -> None:
    section = PPOSection(per_device_train_batch_size=PAIRS, total_episodes=PAIRS, **CPU)
    prompts = prompt_view(setting.pairs).rename_column("prompt_ids", "input_ids")
    batch = only_batch(
        PPOTrainer(
            args=ppo_arguments(section, setting.output_dir, 0),
            processing_class=setting.tokenizer,
            model=setting.policy,
            reward_model=scalar_head(setting.policy),
            train_dataset=prompts,
        )
    )
    assert real(batch["prompt_ids"], batch["prompt_mask"]) == setting.prompts
    assert batch["prompt_mask"][:, -1].all()  # left-padded: generation starts at one place


def test_dpo(setting: Setting) -> None:
    section = DPOSection(per_device_train_batch_size=PAIRS, **CPU)
    batch = only_batch(
        EncodedDPOTrainer(
            model=setting.policy,
            args=dpo_arguments(section, setting.output_dir, 0),
            train_dataset=pairs_view(setting.pairs),
            processing_class=setting.tokenizer,
        )
    )
    ids, mask, counted = (
        batch[name] for name in ("input_ids", "attention_mask", "completion_mask")
    )
    for rows, place in ((slice(0, PAIRS), 0), (slice(PAIRS, None), 1)):
        assert real(ids[rows], mask[rows]) == setting.sequences(place)
        assert real(ids[rows], counted[rows]) == setting.ranked(place)
        assert real(ids[rows], mask[rows] * (1 - counted[rows])) == setting.prompts
    assert not (counted.bool() & ~mask.bool()).any()


def test_generation(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    ends, pad = turn_ends(setting.tokenizer, setting.policy), setting.end
    assert setting.end in ends
    prompts = [encode_prompt(setting.tokenizer, row["prompt"]) for row in setting.pairs]
    seen: list[dict[str, Tensor]] = []
    original = setting.policy.forward

    def watch(**kwargs: Any) -> Any:
        seen.append(kwargs)
        return original(**kwargs)

    monkeypatch.setattr(setting.policy, "forward", watch)
    ids, mask = pad_sequences(prompts, pad, "left")
    responses = generate(setting.policy, ids, mask, 4, ends, pad)
    assert real(seen[0]["input_ids"], seen[0]["attention_mask"]) == setting.prompts
    assert all(call["input_ids"].shape[1] == 1 for call in seen[1:])
    for ids_, ended in zip(responses.to_lists(), responses.ended, strict=True):
        assert (ids_[-1] in ends) == bool(ended) and not set(ends) & set(ids_[:-1])
