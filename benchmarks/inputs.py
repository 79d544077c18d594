"""Weights, tokenizer and prompts for both sides, from fixed seeds.

A language of numbers: a prompt is random ids and a separator; the t-th token of a response is one
of the t-th block of ids. A few steps of training teach it, and with it when to stop, so that
responses have the spread of lengths that a trained model's have: how much of a batch is padding
decides much of PPO's time.
"""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, models
from transformers import (
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

from benchmarks.settings import SHAPES, Settings, Shape

EOS, SEPARATOR, FIRST = 0, 1, 2
_PROMPTS, _PROMPT_LENGTH, _RESPONSE_LENGTH = 512, (14, 3, 8, 24), (17, 4, 6, 40)
_STEPS, _BATCH, _LEARNING_RATE = 150, 32, 3e-3
_BLOCK = 8  # ids that may stand at one position: few, so that they are learned soon
_IGNORED = -100  # what cross entropy leaves out


def ensure_inputs(root: Path, settings: Settings) -> Path:
    """Directory with ``policy/``, ``classifier/``, ``tokenizer/`` and ``prompts.json``."""
    directory = root / f"{settings.shape}-{settings.responses}"
    if (directory / "prompts.json").is_file():
        print(f"{directory}: weights and prompts of an earlier run")
        return directory
    print(f"{directory}: making weights and prompts from seed 0 ...")
    shape = SHAPES[settings.shape]
    torch.manual_seed(0)
    policy = GPT2LMHeadModel(_config(shape))
    if settings.responses == "spread":
        print(f"  last loss {_train(policy, shape, settings.response_length):.2f} nats per token")
    else:
        _forbid_eos(policy)
    classifier = GPT2ForSequenceClassification(_config(shape))
    classifier.transformer.load_state_dict(policy.transformer.state_dict())
    torch.nn.init.normal_(classifier.score.weight, std=(shape.width + 1) ** -0.5)
    _tokenizer(shape).save_pretrained(directory / "tokenizer")
    policy.save_pretrained(directory / "policy")
    classifier.save_pretrained(directory / "classifier")
    prompts = make_prompts(random.Random(1), shape.vocabulary, _PROMPTS)
    (directory / "prompts.json").write_text(json.dumps(prompts), encoding="utf-8")  # last
    return directory


def make_prompts(rng: random.Random, vocabulary: int, count: int) -> list[list[int]]:
    """Random ids, the separator last; no EOS, which is also the padding."""
    return [
        [rng.randrange(FIRST, vocabulary) for _ in range(_length(rng, *_PROMPT_LENGTH) - 1)]
        + [SEPARATOR]
        for _ in range(count)
    ]


def make_response(rng: random.Random, vocabulary: int, limit: int) -> list[int]:
    """The t-th id from the t-th of ``limit`` blocks, then EOS.

    Raises:
        ValueError: the vocabulary is too small for so many blocks.
    """
    if FIRST + limit * _BLOCK > vocabulary:
        raise ValueError(f"{limit} blocks of {_BLOCK} ids do not fit into {vocabulary}")
    length = min(_length(rng, *_RESPONSE_LENGTH), limit)
    return [FIRST + t * _BLOCK + rng.randrange(_BLOCK) for t in range(length - 1)] + [EOS]


def _length(rng: random.Random, mean: float, deviation: float, low: int, high: int) -> int:
    return min(max(round(rng.gauss(mean, deviation)), low), high)


def _config(shape: Shape) -> Any:
    return GPT2Config(
        n_layer=shape.layers,
        n_embd=shape.width,
        n_head=shape.heads,
        vocab_size=shape.vocabulary,
        n_positions=shape.positions,
        initializer_range=0.06 if shape.width <= 128 else 0.02,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=EOS,
        eos_token_id=EOS,
        pad_token_id=EOS,  # as with GPT-2 itself
        num_labels=1,
    )


def _tokenizer(shape: Shape) -> PreTrainedTokenizerFast:
    """Names ids; the trainers ask it for EOS, padding and nothing else."""
    vocabulary = {"<eos>": EOS} | {f"t{i}": i for i in range(1, shape.vocabulary)}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="t1"))
    return PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="<eos>", pad_token="<eos>", padding_side="left"
    )


def _train(policy: Any, shape: Shape, limit: int) -> float:
    """Teach the language; the loss of the last step."""
    rng = random.Random(0)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=_LEARNING_RATE)
    loss = torch.zeros(())
    for _ in range(_STEPS):
        prompts = make_prompts(rng, shape.vocabulary, _BATCH)
        rows = [(p, make_response(rng, shape.vocabulary, limit)) for p in prompts]
        ids, labels = _pad(rows)
        logits = policy(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits
        loss = F.cross_entropy(
            logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=_IGNORED
        )
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return float(loss.detach())


def _pad(rows: Sequence[tuple[list[int], list[int]]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-padded ids and labels; the prompt and the padding are no labels."""
    width = max(len(p) + len(r) for p, r in rows)
    ids = torch.full((len(rows), width), EOS)
    labels = torch.full((len(rows), width), _IGNORED)
    for row, (prompt, response) in enumerate(rows):
        end = len(prompt) + len(response)
        ids[row, :end] = torch.tensor(prompt + response)
        labels[row, len(prompt) : end] = torch.tensor(response)
    return ids, labels


@torch.no_grad()
def _forbid_eos(policy: Any) -> None:
    """Responses run to their limit: the last norm's bias points away from EOS's embedding."""
    direction = F.normalize(torch.randn(policy.config.n_embd), dim=0)
    policy.transformer.ln_f.bias.copy_(5.0 * direction)
    policy.transformer.wte.weight[EOS] = -6.0 * direction
