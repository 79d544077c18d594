"""TRL's sampling function, under its call."""

import torch
from transformers import GenerationConfig, GPT2LMHeadModel

from rlhf_compare.ppo import batch_generation

PROMPTS = [[5, 6, 7, 8], [9, 10], [11, 12, 13], [14]]
PAD = 2


def test_answers_in_parts_are_those_to_each_prompt_alone(policy: GPT2LMHeadModel) -> None:
    policy.eval()
    settings = GenerationConfig(max_new_tokens=6, do_sample=False, pad_token_id=PAD, eos_token_id=3)
    alone = [
        policy.generate(torch.tensor([prompt]), generation_config=settings)[0, len(prompt) :]
        for prompt in PROMPTS
    ]
    queries = torch.tensor([[PAD] * (4 - len(prompt)) + prompt for prompt in PROMPTS])
    for size in (1, 3, 4):
        sequences, logits = batch_generation(policy, queries, size, PAD, settings)
        length = max(map(len, alone))
        assert sequences.shape == (4, 4 + length)
        assert logits.shape == (4, length, policy.config.vocab_size)
        assert torch.equal(sequences[:, :4], queries)
        for row, answer in enumerate(alone):
            sampled_ids = sequences[row, 4:]
            assert sampled_ids[: len(answer)].tolist() == answer.tolist()
            assert set(sampled_ids[len(answer) :].tolist()) <= {PAD}
            assert logits[row, : len(answer)].argmax(-1).tolist() == answer.tolist()
