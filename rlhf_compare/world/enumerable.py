"""A world so small that every response can be listed: ground truth for any method.

A few ordinary tokens and EOS, responses of a few tokens: what is estimated elsewhere is a sum
here (:mod:`rlhf_compare.world.optimum`). The world brings what real trainers take: prompts as
token ids, a tokenizer, a reference, a gold reward on ids or on texts. PPO's ``kl_coef`` and DPO's
``beta`` are both its beta.

Dimensions: N prompts, Y responses (all that there are), R response positions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel, PreTrainedTokenizerFast

from rlhf_compare.models.generation import Responses
from rlhf_compare.models.policy import response_logits
from rlhf_compare.models.tokenizer import EOS
from rlhf_compare.tensors.masked import masked_sum
from rlhf_compare.tensors.padding import pad_sequences

Reward = Callable[[Sequence[int], Sequence[int]], float]

_MAX_RESPONSES = 10_000  # to each prompt; beyond it the sums cost more than they teach


def echo_reward(prompt: Sequence[int], response: Sequence[int]) -> float:
    """1 for each different token of the prompt that is said, less a quarter a token, EOS included.

    Small, yet it asks for what makes learning from a reward hard: it is paid at the end alone,
    depends on the prompt, on what was said before and on stopping in time, and it has ties.
    """
    return len(set(prompt) & set(response)) - 0.25 * len(response)


@dataclass(frozen=True)
class EnumerableWorld:
    """Everything that is given: prompts, vocabulary, length limit, gold reward, beta.

    prompts     token ids; lengths may differ
    vocabulary  one character an ordinary token; its index is the id, EOS comes after the last
    max_length  response tokens at most, EOS included
    reward      gold reward of prompt ids and response ids, with EOS where the response has one
    beta        weight of the KL to the reference

    Raises:
        ValueError: a value that makes no world, or one with too many responses to list.
    """

    prompts: tuple[tuple[int, ...], ...] = ((0,), (2, 2), (1, 2), (3, 0, 1))
    vocabulary: str = "abcd"
    max_length: int = 3
    reward: Reward = echo_reward
    beta: float = 0.3

    def __post_init__(self) -> None:
        if not self.vocabulary or len(set(self.vocabulary)) < len(self.vocabulary):
            raise ValueError(f"vocabulary must be different characters, got {self.vocabulary!r}")
        if self.max_length < 1 or self.beta <= 0:
            raise ValueError(
                f"max_length must be at least 1 and beta over 0, got {self.max_length}, {self.beta}"
            )
        # EOS would be lost from a prompt when it is decoded
        for prompt in self.prompts:
            if not prompt or not all(0 <= token < self.eos_id for token in prompt):
                raise ValueError(f"a prompt needs ids from 0 to {self.eos_id - 1}, got {prompt}")
        count = sum(self.eos_id**n for n in range(self.max_length + 1))
        if not self.prompts or count > _MAX_RESPONSES:
            raise ValueError(
                f"{len(self.prompts)} prompts with {count} responses each; "
                f"at least 1 prompt and at most {_MAX_RESPONSES} responses"
            )

    @property
    def eos_id(self) -> int:
        return len(self.vocabulary)

    @cached_property
    def responses(self) -> Responses:
        """Every response: it ends at its first EOS or at the length limit. ids and mask (Y, R)."""
        ordinary = range(self.eos_id)
        ended = [
            [*said, self.eos_id]
            for n in range(self.max_length)
            for said in product(ordinary, repeat=n)
        ]
        cut = [list(said) for said in product(ordinary, repeat=self.max_length)]
        ids, mask = pad_sequences(ended + cut, self.eos_id, "right")
        return Responses(ids=ids, mask=mask, ended=torch.arange(len(ids)) < len(ended))

    @cached_property
    def rewards(self) -> Tensor:
        """Gold reward of every response to every prompt: (N, Y), float64."""
        responses = self.responses.to_lists()
        table = [[self.reward(prompt, said) for said in responses] for prompt in self.prompts]
        return torch.tensor(table, dtype=torch.float64)

    def score_texts(self, prompts: Sequence[str], responses: Sequence[str]) -> list[float]:
        """The gold reward as trainers call it: on texts decoded without special tokens.

        No two responses share a text, because one that is short of the limit must have ended.
        """

        def ids(text: str) -> list[int]:
            return [self.vocabulary.index(character) for character in text]

        said = [ids(text) for text in responses]
        said = [tokens + [self.eos_id] * (len(tokens) < self.max_length) for tokens in said]
        return [self.reward(ids(p), tokens) for p, tokens in zip(prompts, said, strict=True)]

    def tokenizer(self) -> PreTrainedTokenizerFast:
        """One character a token; pad = EOS, the hard case."""
        vocabulary = {token: id for id, token in enumerate([*self.vocabulary, EOS])}
        tokenizer = Tokenizer(models.WordLevel(vocabulary))
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
        tokenizer.decoder = decoders.Fuse()
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=EOS, pad_token=EOS)

    def reference(
        self, seed: int = 0, dtype: torch.dtype = torch.float32, initializer_range: float = 0.2
    ) -> GPT2LMHeadModel:
        """A tiny GPT-2 with random weights, without dropout; leaves torch's generator alone.

        Args:
            initializer_range: spread of the weights; 0.02, the usual one, is nearly uniform.
        """
        config = GPT2Config(
            vocab_size=self.eos_id + 1,
            # trainers try a model on six tokens before they train it
            n_positions=max(8, max(map(len, self.prompts)) + self.max_length),
            n_layer=2,
            n_head=2,
            n_embd=32,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            initializer_range=initializer_range,
            bos_token_id=self.eos_id,
            eos_token_id=self.eos_id,
            pad_token_id=self.eos_id,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return GPT2LMHeadModel(config).to(dtype).eval()


@torch.no_grad()
def response_logps(
    world: EnumerableWorld, model: PreTrainedModel, temperature: float = 1.0
) -> Tensor:
    """log pi(y | x) of every response to every prompt, in one teacher-forced pass: (N, Y).

    Args:
        temperature: of sampling; divides the logits.
    """
    ids, real = world.responses.ids, world.responses.mask
    prompts, prompt_mask = pad_sequences(world.prompts, world.eos_id, "left")
    n, y = len(prompts), len(ids)
    sequences = torch.cat([prompts.repeat_interleave(y, 0), ids.repeat(n, 1)], 1)
    mask = torch.cat([prompt_mask.repeat_interleave(y, 0), real.repeat(n, 1)], 1)
    was_training = model.training
    model.eval()
    logits = response_logits(
        model, sequences.to(model.device), mask.to(model.device), ids.shape[1], temperature
    )
    model.train(was_training)
    # `token_logprobs` is float32 by contract; the sums below want the digits of float64
    logprobs = logits.cpu().double().log_softmax(-1)
    chosen = logprobs.gather(-1, ids.repeat(n, 1).unsqueeze(-1)).squeeze(-1)
    return masked_sum(chosen, real.repeat(n, 1), dim=1).view(n, y)
