"""Every kind of reward model as one function of token ids."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn

from rlhf_compare.data.control import unmarked
from rlhf_compare.data.encoding import (
    decode_prompt,
    decode_response,
    encode_prompt,
    encode_response,
    prompt_for_another,
)
from rlhf_compare.data.turns import opening_of
from rlhf_compare.models.adapters import load_reward_model
from rlhf_compare.models.generation import Responses
from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.models.positions import text_limit
from rlhf_compare.models.tokenizer import load_tokenizer
from rlhf_compare.tensors.padding import micro_batches, pad_sequences, to_the_left

TextReward = Callable[[list[str], list[str]], Sequence[float]]
RewardModel = ScalarHeadModel | nn.Module | TextReward


def as_scalar_head(model: Any, role: str = "reward_model") -> ScalarHeadModel | None:
    """A scoring model with a linear head, as a :class:`ScalarHeadModel`; None for a function.

    A transformers sequence classifier is read by mask: its own forward finds the last token by id,
    which with pad = EOS is the token before EOS.

    Args:
        model: a :class:`ScalarHeadModel`, a sequence classifier, a PEFT model of one, a function.
        role: the argument's name, for messages.

    Raises:
        TypeError: neither a model with one score nor a function.
    """
    if isinstance(model, ScalarHeadModel):
        return model
    if isinstance(model, nn.Module):
        classifier = model.get_base_model() if isinstance(model, PeftModel) else model
        if not hasattr(classifier, "score") or not hasattr(classifier, "base_model_prefix"):
            raise TypeError(
                f"{role}: {type(classifier).__name__} has no scalar head; give a ScalarHeadModel, "
                "a sequence classifier with num_labels=1, or, as a reward, a function of prompts "
                "and responses"
            )
        return ScalarHeadModel.from_classifier(model)
    if not callable(model):
        raise TypeError(f"{role}: {type(model).__name__} is neither a model nor a function")
    return None


class TextRewardModel:
    """A reward model with its own tokenizer; it scores texts, as a function does.

    The end token is put behind every text, also behind one that was cut off: a text does not show
    whether it was cut.
    """

    def __init__(self, model: ScalarHeadModel, tokenizer: Any, batch_size: int = 32) -> None:
        self.model, self.tokenizer, self.batch_size = model, tokenizer, batch_size

    @torch.no_grad()
    def __call__(self, prompts: Sequence[str], responses: Sequence[str]) -> list[float]:
        """r(x, y) of every prompt with its response; if a text is longer than the model's
        positions, the front of the prompt is cut, so that the whole response is read. Marked parts
        of a prompt are text (:mod:`rlhf_compare.data.control`); all of a response is text."""
        longest = text_limit(self.model, self.tokenizer)
        opening = opening_of(self.tokenizer)
        sequences = []
        for x, y in zip(prompts, responses, strict=True):
            prompt = encode_prompt(self.tokenizer, x)[len(opening) :]
            ids = prompt + encode_response(self.tokenizer, y)
            room = len(ids) if longest is None else max(longest - len(opening), 0)
            sequences.append(opening + ids[max(len(ids) - room, 0) :])
        return score_sequences(self.model, sequences, self.batch_size)


@torch.no_grad()
def score_sequences(
    model: ScalarHeadModel, sequences: Sequence[Sequence[int]], batch_size: int
) -> list[float]:
    """One score per sequence, in the given order; batches hold similar lengths, so padding is
    small."""
    order = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
    device, scores = model.head.weight.device, [0.0] * len(sequences)
    for start in range(0, len(order), batch_size):
        part = order[start : start + batch_size]
        ids, mask = pad_sequences([sequences[index] for index in part], 0, "right")
        for index, score in zip(
            part, model.scores(ids.to(device), mask.to(device)).tolist(), strict=True
        ):
            scores[index] = score
    return scores


OWN_TOKENIZER = "own_tokenizer"  # a folder beside the model: the tokenizer for its texts


def load_reward(
    directory: Path, base: Path, device: str = "cpu"
) -> ScalarHeadModel | TextRewardModel:
    """A saved reward model of any kind, as :class:`Scorer` takes it."""
    model = load_reward_model(directory, base).to(device).eval()
    if not (directory / OWN_TOKENIZER).is_dir():
        return model
    return TextRewardModel(model, load_tokenizer(directory / OWN_TOKENIZER))


class Scorer:
    """Scores responses with a scalar-head model or with a function of texts.

    Args:
        reward_model: see :class:`PPOTrainer`.
        tokenizer: decodes for functions of texts.
        batch_size: responses per forward.
    """

    def __init__(self, reward_model: Any, tokenizer: Any, batch_size: int) -> None:
        self.model = as_scalar_head(reward_model)
        self._function, self._tokenizer, self._batch_size = reward_model, tokenizer, batch_size

    @torch.no_grad()
    def __call__(self, prompt_ids: Tensor, prompt_mask: Tensor, responses: Responses) -> Tensor:
        """r(x, y) of every response: (B, P) prompts, (B, R) responses -> (B,), float32.

        Raises:
            ValueError: a function gave another number of scores than responses.
        """
        if self.model is not None:
            ids, mask = to_the_left(
                torch.cat([prompt_ids, responses.ids], dim=1),
                torch.cat([prompt_mask, responses.mask], dim=1),
            )
            lengths, scores = mask.sum(1).cpu(), torch.empty(len(ids), device=ids.device)
            for rows in micro_batches(lengths, torch.arange(len(ids)), self._batch_size):
                width = int(lengths[rows].max())
                scores[rows] = self.model.scores(ids[rows, :width], mask[rows, :width])
            return scores
        pairs = zip(prompt_ids, prompt_mask, strict=True)
        prompts = [self._text(ids[real].tolist()) for ids, real in pairs]
        texts = [decode_response(self._tokenizer, ids) for ids in responses.to_lists()]
        given = list(self._function(prompts, texts))
        if len(given) != len(texts):
            raise ValueError(f"reward_model gave {len(given)} scores for {len(texts)} responses")
        return torch.tensor([float(s) for s in given], device=prompt_ids.device)

    def _text(self, prompt: list[int]) -> str:
        """A prompt as the function reads it: without the policy's BOS token."""
        text = decode_prompt(self._tokenizer, prompt)
        if isinstance(self._function, TextRewardModel):
            return prompt_for_another(text, self._tokenizer, self._function.tokenizer)
        return unmarked(text)
