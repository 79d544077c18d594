"""The reference as a model of its own."""

import torch
from transformers import AutoConfig, AutoModelForCausalLM, GPT2LMHeadModel, PreTrainedTokenizerFast

from rlhf_compare.models.policy import has_plain_head
from rlhf_compare.tensors.logprobs import token_logprobs
from tests.ppo.conftest import MakeTrainer
from tests.ppo.helpers import collect


def test_a_reference_of_another_architecture_is_read_by_its_own_head(
    make_trainer: MakeTrainer, policy: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    """The policy's logits are the head of its hidden states, the reference's are capped behind it.

    Expected are the log-probabilities of each response alone, through transformers' own forward.
    """
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "gemma2", vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, head_dim=8,
        num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2, initializer_range=0.5,
        max_position_embeddings=64, final_logit_softcapping=2.0, pad_token_id=None,
    )  # fmt: skip
    reference = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    assert has_plain_head(policy) and not has_plain_head(reference)
    rollout = collect(make_trainer(ref_model=reference))
    for row in range(len(rollout)):
        ids = rollout.sequences[row : row + 1, : rollout.lengths[row]]
        length = int(rollout.response_mask[row].sum())
        with torch.no_grad():
            logits = reference(ids).logits[:, -length - 1 : -1]
        expected = token_logprobs(logits, ids[:, -length:])[0]
        got = rollout.ref_logprobs[row, :length]
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
