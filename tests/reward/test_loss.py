"""The loss over ranked responses: by hand, against TRL, and against its own parts."""

import itertools
import math

import pytest
import torch
from datasets import Dataset
from torch import Tensor
from transformers import GPT2Config, GPT2ForSequenceClassification, PreTrainedTokenizerFast
from trl import RewardConfig, RewardTrainer

from rlhf_compare.models.tokenizer import train_tokenizer
from rlhf_compare.reward.loss import ranked_pairs, ranking_loss


def by_loops(
    scores: Tensor, groups: Tensor, ranks: Tensor, margins: bool, smoothing: float, centering: float
) -> Tensor:
    """The equation as it is written: one prompt, one pair at a time."""
    prompts = []
    for group in groups.unique():
        own = [n for n in range(len(groups)) if groups[n] == group]
        terms = []
        for i, j in itertools.permutations(own, 2):
            if ranks[i] <= ranks[j]:
                continue
            d = scores[i] - scores[j] - (ranks[i] - ranks[j] if margins else 0.0)
            loss = -(1 - smoothing) * d.sigmoid().log() - smoothing * (-d).sigmoid().log()
            terms.append(loss + centering * (scores[i] + scores[j]) ** 2)
        if terms:
            prompts.append(sum(terms) / len(terms))
    return sum(prompts) / len(prompts)


def test_three_responses_by_hand() -> None:
    """-1/3 [log s(2-1) + log s(2-0) + log s(1-0)]"""
    scores, ranks = torch.tensor([0.0, 2.0, 1.0]), torch.tensor([1.0, 3.0, 2.0])
    expected = sum(math.log(1 + math.exp(-d)) for d in (1.0, 2.0, 1.0)) / 3
    loss = ranking_loss(scores, torch.zeros(3, dtype=torch.long), ranks)
    assert float(loss) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("margins", [False, True])
@pytest.mark.parametrize(("smoothing", "centering"), [(0.0, 0.0), (0.1, 0.0), (0.2, 0.3)])
def test_many_prompts_with_ties_equal_the_loops(
    margins: bool, smoothing: float, centering: float
) -> None:
    torch.manual_seed(0)
    groups = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2, 2, 3, 3])  # the last prompt is one tie
    ranks = torch.tensor([0.1, 0.9, 0.9, 0.4, 1, 0, 5, 2, 2, 7, 7], dtype=torch.float64)
    scores = torch.randn(11, dtype=torch.float64, requires_grad=True)
    ours = ranking_loss(scores, groups, ranks, margins, smoothing, centering)
    loops = by_loops(scores, groups, ranks, margins, smoothing, centering)
    torch.testing.assert_close(ours, loops, rtol=1e-12, atol=0)
    gradients = [torch.autograd.grad(loss, scores)[0] for loss in (ours, loops)]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-15)
    assert (gradients[0][9:] == 0).all() and (gradients[0][:9] != 0).all()


def test_pairs_and_ties_are_counted() -> None:
    groups = torch.tensor([0, 0, 0, 0, 1, 1])
    pairs = ranked_pairs(groups, torch.tensor([0.1, 0.9, 0.9, 0.4, 3.0, 3.0]))
    assert len(pairs.winners) == 5 and pairs.ties == 2  # C(4, 2) + C(2, 2) = 7
    assert pairs.prompts == 1  # the second prompt has no pair
    assert pairs.siblings.tolist() == [5] * 5
    assert (pairs.winners == 1).sum() == 2 and not (pairs.winners == 0).any()


def test_only_ties_is_a_loss_of_zero_with_a_gradient_of_zero() -> None:
    scores = torch.randn(2, requires_grad=True)
    loss = ranking_loss(scores, torch.zeros(2, dtype=torch.long), torch.ones(2), centering=0.1)
    loss.backward()
    assert float(loss.detach()) == 0.0 and scores.grad is not None and (scores.grad == 0).all()


def test_parts_divided_by_the_whole_add_up_to_it() -> None:
    torch.manual_seed(1)
    groups = torch.arange(7).repeat_interleave(torch.tensor([2, 3, 4, 2, 5, 2, 3]))
    ranks, scores = torch.rand(21).double(), torch.randn(21).double()
    whole = ranking_loss(scores, groups, ranks, centering=0.1)
    parts = [groups < 1, (groups >= 1) & (groups < 5), groups >= 5]
    summed = sum(
        ranking_loss(scores[p], groups[p] - groups[p].min(), ranks[p], centering=0.1, prompts=7)
        for p in parts
    )
    torch.testing.assert_close(summed, whole, rtol=1e-12, atol=0)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(["some text to learn a few merges from"], 300)


@pytest.mark.parametrize("centering", [None, 0.3])
@pytest.mark.parametrize("margin", [None, 0.7])
def test_value_and_gradient_are_those_of_trl(
    tokenizer: PreTrainedTokenizerFast, tmp_path: object, centering: float | None,
    margin: float | None,
) -> None:  # fmt: skip
    """TRL's own trainer on its own batch in float64; every gradient of every weight."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_layer=2, n_head=2, n_embd=16, n_positions=32, num_labels=1,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, initializer_range=0.3,
    )  # fmt: skip
    model = GPT2ForSequenceClassification(config).double()
    chosen, rejected = [[5, 6, 7], [9, 8], [3, 4, 5, 6]], [[5, 7], [9, 1, 2], [3, 5]]
    rows = {"chosen_ids": chosen, "rejected_ids": rejected}
    if margin is not None:
        rows["margin"] = [margin] * 3
    trainer = RewardTrainer(
        model=model,
        args=RewardConfig(
            output_dir=str(tmp_path), bf16=False, report_to="none", use_cpu=True,
            center_rewards_coefficient=centering, gradient_checkpointing=False,
        ),
        processing_class=tokenizer,
        train_dataset=Dataset.from_dict(rows),
    )  # fmt: skip
    model.train()
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(3)])
    theirs = trainer.compute_loss(model, dict(batch))
    weights = [p for p in model.parameters() if p.requires_grad]
    their_gradient = torch.autograd.grad(theirs, weights)

    scores = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits.squeeze(-1)
    groups = torch.arange(3).repeat(2)
    ranks = torch.tensor([margin or 1.0] * 3 + [0.0] * 3, dtype=torch.float64)
    ours = ranking_loss(scores, groups, ranks, margin is not None, centering=centering or 0.0)
    torch.testing.assert_close(ours, theirs.double(), rtol=1e-6, atol=1e-6)
    for mine, their in zip(torch.autograd.grad(ours, weights), their_gradient, strict=True):
        torch.testing.assert_close(mine, their, rtol=1e-6, atol=1e-6)
    assert max(float(g.abs().max()) for g in their_gradient) > 1e-3
