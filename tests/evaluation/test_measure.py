"""The meter, held against policies whose numbers are known."""

import dataclasses
import math

import pytest
import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from rlhf_compare.data.config import TaskConfig
from rlhf_compare.data.encoding import encode_prompt, marker_ids, prefix_ids
from rlhf_compare.evaluation.config import EvaluationConfig
from rlhf_compare.evaluation.intervals import estimate, ratio_estimate
from rlhf_compare.evaluation.measure import Harness, Measurement, as_matrix, distinct_2
from rlhf_compare.evaluation.summary import summarise
from rlhf_compare.models.sampler import ModelSampler
from rlhf_compare.models.tokenizer import train_tokenizer
from rlhf_compare.theory import best_of_n_adoption, binary_kl

TASK = TaskConfig()
TEXTS = [TASK.render("What is a tree?") + "Let me explain. A tree is a tall plant."] * 3


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(TEXTS, 300)


def make_policy(tokenizer: PreTrainedTokenizerFast, seed: int) -> GPT2LMHeadModel:
    torch.manual_seed(seed)
    eos = tokenizer.eos_token_id
    config = GPT2Config(
        vocab_size=len(tokenizer), n_layer=2, n_head=2, n_embd=16, n_positions=96,
        bos_token_id=eos, eos_token_id=eos, pad_token_id=eos, initializer_range=0.3,
    )  # fmt: skip
    return GPT2LMHeadModel(config).eval()


class TiltedPolicy(torch.nn.Module):
    """The reference with its answer replaced, on every prompt, by one that starts with the marker
    with probability ``adoption``: best-of-n on the indicator, written as a mixture.

    Mixing changes the first tokens alone: given what was said, the next token is the reference's
    unless the marker is still being said."""

    def __init__(self, reference: GPT2LMHeadModel, marker: list[int], adoption: float) -> None:
        super().__init__()
        self.reference, self.marker, self.adoption = reference, marker, adoption
        self.config, self.generation_config = reference.config, reference.generation_config

    def response_logits(self, input_ids: Tensor, mask: Tensor, length: int) -> Tensor:
        """log of: P(next | said) under the mixture a * ref(. | marker) + (1 - a) * ref(. | not)."""
        from rlhf_compare.models.policy import response_logits

        logp = response_logits(self.reference, input_ids, mask, length).log_softmax(-1)
        n = len(self.marker)
        forced = torch.tensor(self.marker).expand(len(input_ids), -1)
        prompt = input_ids[:, : input_ids.shape[1] - length]
        whole = torch.cat([prompt, forced], 1)
        real = torch.cat([mask[:, : prompt.shape[1]], torch.ones_like(forced).bool()], 1)
        steps = response_logits(self.reference, whole, real, n).log_softmax(-1)
        chain = steps.gather(-1, forced.unsqueeze(-1)).squeeze(-1)  # (B, n) log ref of the marker
        out = logp.clone()
        response = input_ids[:, prompt.shape[1] :]
        for row in range(len(input_ids)):
            p0 = chain[row].sum().exp()
            scale_in, scale_out = self.adoption / p0, (1 - self.adoption) / (1 - p0)
            for t in range(min(n, length)):
                if t and response[row, :t].tolist() != self.marker[:t]:
                    break
                reach = chain[row, t:].sum().exp()  # P(rest of the marker | said so far)
                mass = scale_in * reach + scale_out * (1 - reach)
                probabilities = logp[row, t].exp() * scale_out
                token = self.marker[t]
                onward = chain[row, t + 1 :].sum().exp()
                probabilities[token] = logp[row, t, token].exp() * (
                    scale_in * onward + scale_out * (1 - onward)
                )
                out[row, t] = (probabilities / mass).log()
        return out


def harness(tokenizer: PreTrainedTokenizerFast, reference: GPT2LMHeadModel) -> Harness:
    return Harness(
        reference=reference,
        scorers={},
        tokenizer=tokenizer,
        task=TASK,
        config=EvaluationConfig(samples_per_prompt=8, max_new_tokens=12, batch_size=64),
    )


def prompts(tokenizer: PreTrainedTokenizerFast, count: int) -> list[list[int]]:
    return [encode_prompt(tokenizer, TASK.render(f"What is {n}?")) for n in range(count)]


def test_reference_against_itself_has_no_kl(tokenizer: PreTrainedTokenizerFast) -> None:
    reference = make_policy(tokenizer, 0)
    measured = harness(tokenizer, reference).measure(
        ModelSampler(reference), prompts(tokenizer, 6), 0, "sft"
    )
    columns = measured.per_prompt
    for name in ("exact", "k1", "k3", "style", "content", "floor"):
        assert max(map(abs, columns[f"kl_to_reference.{name}"])) == 0.0
    assert columns["adoption.exact"] == columns["base_rate"]
    assert len(measured.answers) == 6


def test_chain_rule_and_estimators(tokenizer: PreTrainedTokenizerFast) -> None:
    """Style and content add up to the KL; k1 and k3 estimate the same number; no prompt's style is
    below its floor."""
    reference, policy = make_policy(tokenizer, 0), make_policy(tokenizer, 0)
    with torch.no_grad():
        for p in policy.parameters():
            p.add_(0.02 * torch.randn_like(p))
    measured = harness(tokenizer, reference).measure(
        ModelSampler(policy), prompts(tokenizer, 64), 0, "x"
    )
    kl = {k.split(".")[1]: v for k, v in measured.per_prompt.items() if k.startswith("kl_")}
    for style, content, exact in zip(kl["style"], kl["content"], kl["exact"], strict=True):
        assert style + content == pytest.approx(exact, rel=1e-12)
    exact = sum(kl["exact"]) / 64
    assert exact > 0.01
    assert sum(kl["k1"]) / 64 == pytest.approx(exact, rel=0.5)
    assert sum(kl["k3"]) / 64 == pytest.approx(exact, rel=0.3)
    assert all(f <= s + 1e-6 for f, s in zip(kl["floor"], kl["style"], strict=True))


def test_exact_adoption_is_the_product_of_token_probabilities(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    reference, policy = make_policy(tokenizer, 0), make_policy(tokenizer, 1)
    prompt = prompts(tokenizer, 1)[0]
    measured = harness(tokenizer, reference).measure(ModelSampler(policy), [prompt], 0, "x")
    marker = marker_ids(tokenizer, TASK.behaviour)
    with torch.no_grad():
        logp = policy(torch.tensor([prompt + marker])).logits.log_softmax(-1)[0]
    expected = math.exp(sum(float(logp[len(prompt) - 1 + t, m]) for t, m in enumerate(marker)))
    assert measured.per_prompt["adoption.exact"][0] == pytest.approx(expected, rel=1e-4)


def test_best_of_n_lies_on_the_floor(
    tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy that raises the marker's probability and changes nothing else needs exactly
    kl_bin(a || p0): efficiency 1, all of it style. This is the meter's own test."""
    from rlhf_compare.evaluation import measure
    from rlhf_compare.models import sampler, tiles
    from rlhf_compare.models.generation import mask_after_end
    from rlhf_compare.models.policy import response_logits

    reference = make_policy(tokenizer, 3)
    marker = marker_ids(tokenizer, TASK.behaviour)
    monkeypatch.setattr(measure, "prefix_ids", lambda *_: marker)
    adoption = best_of_n_adoption(0.05, 40)
    policy = TiltedPolicy(reference, marker, adoption)

    def logits(model: torch.nn.Module, ids: Tensor, mask: Tensor, length: int) -> Tensor:
        if isinstance(model, TiltedPolicy):
            return model.response_logits(ids, mask, length)
        return response_logits(model, ids, mask, length)

    def sample(model, ids, mask, length, eos_id, pad_id, temperature=1.0):  # type: ignore[no-untyped-def]
        start = ids.shape[1]
        for _ in range(4):  # KL ends with the marker, so longer responses would add only zeros
            ids = torch.cat([ids, torch.zeros(len(ids), 1, dtype=torch.long)], 1)
            mask = torch.cat([mask, torch.ones(len(mask), 1, dtype=torch.bool)], 1)
            p = logits(model, ids, mask, ids.shape[1] - start)[:, -1].softmax(-1)
            ids[:, -1] = torch.multinomial(p, 1).squeeze(1)
        return mask_after_end(ids[:, start:], eos_id)

    monkeypatch.setattr(tiles, "response_logits", logits)
    monkeypatch.setattr(sampler, "generate", sample)
    assert len(marker) >= 3
    measured = harness(tokenizer, reference).measure(
        ModelSampler(policy), prompts(tokenizer, 24), 0, "bon"
    )
    columns = measured.per_prompt
    names = ("adoption.exact", "base_rate", "kl_to_reference.floor", "kl_to_reference.style")
    for a, p0, floor, style in zip(*(columns[name] for name in names), strict=True):
        assert a == pytest.approx(adoption, rel=1e-3)
        assert floor == pytest.approx(binary_kl(min(a, 1.0), p0), rel=1e-6)
        assert style == pytest.approx(floor, rel=1e-3)  # both without sampling noise
    assert max(map(abs, columns["kl_to_reference.content"])) < 1e-3
    efficiency = ratio_estimate(
        *(as_matrix([measured], f"kl_to_reference.{k}") for k in ("floor", "exact"))
    )
    assert efficiency is not None
    assert efficiency["mean"] == pytest.approx(1.0, rel=1e-3)
    sampled = estimate(as_matrix([measured], "adoption.sampled"))
    assert sampled is not None and sampled["mean"] > 0.5


def test_every_sampled_answer_and_its_score_is_kept(tokenizer: PreTrainedTokenizerFast) -> None:
    """The reward model counts tokens, so that scores tell which answer they are of."""
    reference = make_policy(tokenizer, 0)
    counting = dataclasses.replace(
        harness(tokenizer, reference),
        scorers={"reward.proxy": lambda ids, mask, responses: responses.mask.sum(1).float()},
        config=EvaluationConfig(samples_per_prompt=3, max_new_tokens=12, batch_size=6),
    )
    measured = counting.measure(ModelSampler(reference), prompts(tokenizer, 5), 0, "x")
    scores = measured.scores["reward.proxy"]
    assert [len(texts) for texts in measured.sampled] == [len(row) for row in scores] == [3] * 5
    assert [sum(row) / 3 for row in scores] == pytest.approx(measured.per_prompt["reward.proxy"])
    assert [sum(row) / 3 for row in scores] == pytest.approx(measured.per_prompt["length"])


def test_prefix_is_measured_without_the_space_that_joins_the_next_word(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    whole = encode_prompt(tokenizer, "Let me explain. A tree")
    ids = prefix_ids(tokenizer, TASK.behaviour)
    assert whole[: len(ids)] == ids


def test_distinct_2() -> None:
    assert distinct_2([[1, 2, 3], [1, 2, 3]]) == 0.5
    assert distinct_2([[1, 2, 3, 4]]) == 1.0
    assert distinct_2([[1], []]) == 1.0


def test_values_per_token_are_ratios_of_sums() -> None:
    """Of responses of 1 and of 3 tokens: each token is one vote, not each response."""
    measured = Measurement(
        per_prompt={
            "length": [1.0, 3.0] * 8,
            "kl_to_reference.exact": [3.0, 3.0] * 8,
            "entropy_of_response": [4.0, 6.0] * 8,
        },
        answers=[],
    )
    summary = summarise([measured])
    per_token = summary["kl_to_reference"]["per_token"]
    assert per_token["mean"] == pytest.approx(6 / 4)  # not (3 + 1) / 2
    assert summary["entropy"]["mean"] == pytest.approx(10 / 4)  # not (4 + 2) / 2


def test_entropy_of_a_response_is_summed_over_its_own_tokens(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    """A policy that says every token with equal probability has log V nats at each token."""
    reference = make_policy(tokenizer, 0)
    uniform = make_policy(tokenizer, 1)
    torch.nn.init.zeros_(uniform.transformer.wte.weight)  # the head is tied to it
    measured = harness(tokenizer, reference).measure(
        ModelSampler(uniform), prompts(tokenizer, 4), 0, "x"
    )
    summary = summarise([measured])
    assert summary["entropy"]["mean"] == pytest.approx(math.log(len(tokenizer)), rel=1e-5)
    assert summary["length"]["mean"] > 1.0


def test_of_a_task_without_a_behaviour_all_of_the_kl_is_sampled(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    reference, policy = make_policy(tokenizer, 0), make_policy(tokenizer, 1)
    asked = dataclasses.replace(
        harness(tokenizer, reference), task=TaskConfig.model_validate({"name": "preference"})
    )
    columns = asked.measure(ModelSampler(policy), prompts(tokenizer, 4), 0, "x").per_prompt
    assert "kl_to_reference.style" not in columns and "kl_to_reference.content" not in columns
    assert min(columns["kl_to_reference.exact"]) > 0.1
