"""Responses end at their first EOS, which counts; what comes after never does."""

import torch
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel

from rlhf_compare.models.generation import generate, mask_after_end
from rlhf_compare.models.policy import response_logits
from rlhf_compare.tensors.logprobs import token_logprobs
from rlhf_compare.tensors.padding import pad_sequences

EOS = 7


def policy() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=11, n_layer=2, n_head=2, n_embd=16, n_positions=32,
        bos_token_id=EOS, eos_token_id=EOS, pad_token_id=EOS, initializer_range=0.5,
    )  # fmt: skip
    return GPT2LMHeadModel(config).eval()


def test_first_eos_counts_and_padding_after_it_does_not() -> None:
    ids = torch.tensor([[1, EOS, EOS, EOS], [EOS, EOS, EOS, EOS], [1, 2, 3, 4], [1, 2, 3, EOS]])
    responses = mask_after_end(ids, EOS)
    assert responses.mask.sum(1).tolist() == [2, 1, 4, 4]
    assert responses.ended.tolist() == [True, True, False, True]
    assert responses.to_lists() == [[1, EOS], [EOS], [1, 2, 3, 4], [1, 2, 3, EOS]]


def test_greedy_answer_does_not_depend_on_the_batch_it_is_in() -> None:
    model, prompts = policy(), [[1, 2, 3], [4], [5, 6, 1, 2, 3, 4]]
    together = generate(model, *pad_sequences(prompts, EOS, "left"), 8, EOS, EOS, temperature=None)
    for prompt, expected in zip(prompts, together.to_lists(), strict=True):
        alone = generate(
            model, *pad_sequences([prompt], EOS, "left"), 8, EOS, EOS, temperature=None
        )
        assert alone.to_lists() == [expected]


def test_greedy_answers_are_those_of_transformers() -> None:
    """Rows end at different lengths, so this holds the cache to account when rows leave it."""
    model, prompts = policy(), [[1, 2, 3], [4], [5, 6, 1, 2, 3, 4], [9, 8], [3, 3, 3], [10]]
    ids, mask = pad_sequences(prompts, EOS, "left")
    ours = generate(model, ids, mask, 12, EOS, EOS, temperature=None)
    config = GenerationConfig(
        max_new_tokens=12, do_sample=False, eos_token_id=EOS, pad_token_id=EOS, use_cache=True
    )
    theirs = model.generate(ids, attention_mask=mask.long(), generation_config=config)
    expected = mask_after_end(theirs[:, ids.shape[1] :], EOS).to_lists()
    assert ours.to_lists() == expected
    assert len({len(answer) for answer in expected}) > 1


def test_sampling_follows_the_distribution_that_the_logits_state() -> None:
    """Frequencies of the first token over 4,000 samples against its probabilities, at a
    temperature other than 1, with no top-k and no nucleus in between."""
    model, temperature = policy(), 1.5
    ids, mask = pad_sequences([[1, 2, 3]] * 4000, EOS, "left")
    torch.manual_seed(1)
    first = generate(model, ids, mask, 1, EOS, EOS, temperature).ids[:, 0]
    frequencies = torch.bincount(first, minlength=11) / 4000
    with torch.no_grad():
        whole = torch.cat([ids[:1], torch.zeros(1, 1, dtype=torch.long)], 1)
        logits = response_logits(model, whole, torch.ones_like(whole).bool(), 1, temperature)
    probabilities = logits.softmax(-1)[0, 0]
    # five standard errors of a share
    error = 5 * (probabilities * (1 - probabilities) / 4000).sqrt() + 1e-3
    assert bool(((frequencies - probabilities).abs() < error).all())
    assert bool((frequencies > 0).sum() > 5)


def test_response_logits_are_those_of_a_plain_forward() -> None:
    model = policy()
    ids, mask = pad_sequences([[1, 2, 3, 4, 5, 6], [2, 3, 4, 5, 6]], EOS, "left")
    with torch.no_grad():
        logits = response_logits(model, ids, mask, 2)
        plain = model(torch.tensor([[2, 3, 4, 5, 6]])).logits[:, 2:4]
    torch.testing.assert_close(logits[1:], plain, rtol=1e-4, atol=1e-5)
    expected = plain.log_softmax(-1).gather(-1, torch.tensor([[[5], [6]]])).squeeze(-1)
    logprobs = token_logprobs(logits[1:], torch.tensor([[5, 6]]))
    torch.testing.assert_close(logprobs, expected, rtol=1e-4, atol=1e-5)
