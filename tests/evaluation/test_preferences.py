"""Agreement with people's labels. A world of two tokens, so that every probability is by hand."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import GPT2Config, GPT2LMHeadModel

from rlhf_compare.evaluation.measure import Measurement
from rlhf_compare.evaluation.preferences import (
    Ranked,
    agreement,
    harness_agreement,
    policy_agreement,
    ranked_on,
)
from rlhf_compare.evaluation.summary import compare, summarise

A, B, PAD = 0, 1, 2


def ranked(*rows: tuple[int, list[list[int]], list[float]], prompts: int) -> Ranked:
    """(number of the prompt, responses, labels) of each ranking."""
    found = Ranked(prompts=prompts)
    for number, (place, responses, scores) in enumerate(rows):
        found.place.append(place)
        for ids, score in zip(responses, scores, strict=True):
            found.row.append(number)
            found.prompt.append([PAD])
            found.ids.append(ids)
            found.score.append(score)
    return found


def two_tokens(share_of_a: float) -> GPT2LMHeadModel:
    """A model that says A with this probability, and B else, whatever stands before."""
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=4, n_layer=1, n_head=1, n_embd=3, n_positions=16, pad_token_id=PAD,
                   bos_token_id=PAD, eos_token_id=PAD, tie_word_embeddings=False)
    )  # fmt: skip
    with torch.no_grad():
        for weights in model.parameters():
            weights.zero_()
        model.transformer.ln_f.bias[:] = torch.tensor([1.0, 0.0, 0.0])
        logits = torch.tensor([share_of_a, 1 - share_of_a, 1e-30, 1e-30]).log()
        model.lm_head.weight[:, 0] = logits
    return model.eval()


# prompt 0: people like A better than B and than BB; prompt 1: B better than A; prompt 2: no label
WORLD = ranked((0, [[A], [B], [B, B]], [3.0, 2.0, 1.0]), (1, [[A], [B]], [0.0, 1.0]), prompts=3)


def test_a_policy_that_gained_in_a_by_hand() -> None:
    """From 0.5 to 0.8: log-ratios A +0.47, B -0.92, BB -1.83. Prompt 0: all three pairs in order;
    prompt 1: its pair is not."""
    found = policy_agreement(WORLD, two_tokens(0.8), two_tokens(0.5), batch_size=4)
    assert found.accuracy == [1.0, 0.0, None] and found.ties == [0.0, 0.0, None]


def test_the_ratio_counts_and_not_the_probability() -> None:
    """A stays the likelier answer, but B gained: from 0.9 to 0.8."""
    found = policy_agreement(WORLD, two_tokens(0.8), two_tokens(0.9), batch_size=4)
    assert found.accuracy == [0.0, 1.0, None]


def test_the_reference_ties_with_itself_on_every_pair(policy: GPT2LMHeadModel) -> None:
    found = policy_agreement(WORLD, policy.eval(), policy, batch_size=2)
    assert found.accuracy == [0.5, 0.5, None] and found.ties == [1.0, 1.0, None]


def test_the_prompt_is_the_unit_and_its_pairs_share_its_vote() -> None:
    """Of prompt 0's three pairs two are in order; two rankings of one prompt are pooled."""
    assert agreement(WORLD, [1.0, 2.0, 0.0, 0.0, 1.0]).accuracy == [pytest.approx(2 / 3), 1.0, None]
    twice = ranked((0, [[A], [B]], [1.0, 0.0]), (0, [[A], [B, B]], [1.0, 0.0]), prompts=1)
    assert agreement(twice, [1.0, 0.0, 0.0, 1.0]).accuracy == [0.5]


def test_equal_responses_tie_whatever_a_batch_rounds() -> None:
    same = ranked((0, [[A, B], [A, B]], [1.0, 0.0]), prompts=1)
    found = agreement(same, [1.0, 1.0 + 1e-9])
    assert found.accuracy == [0.5] and found.ties == [1.0]


def test_shuffled_labels_give_one_half() -> None:
    draw = np.random.default_rng(0)
    rows = [(i, [[A], [B]], list(draw.permutation([0.0, 1.0]))) for i in range(400)]
    found = agreement(ranked(*rows, prompts=400), draw.normal(size=800).tolist())
    accuracy = np.array(found.accuracy, dtype=float)
    assert abs(accuracy.mean() - 0.5) < 3 * 0.5 / 20  # three standard errors of 400 pairs


def test_rankings_are_of_the_prompts_that_are_measured() -> None:
    """Another prompt's row, and a row that feeds no ranking, are left out."""
    rows = Dataset.from_list(
        [
            {"prompt": name, "prompt_ids": [PAD], "response_ids": [[A], [B]], "scores": [1.0, 0.0],
             "feeds": feeds}
            for name, feeds in (("x", ["rankings"]), ("y", ["prompts"]), ("z", ["rankings"]))
        ]
    )  # fmt: skip
    found = ranked_on(rows, ["z", "y"])
    assert found.pairs() == [(0, 0, 1)] and found.prompts == 2
    assert agreement(found, [1.0, 0.0]).accuracy == [1.0, None]


class Likes:
    """A reward model that scores a response by its last token."""

    def __call__(self, _ids: Any, _mask: Any, responses: Any) -> torch.Tensor:
        last = responses.mask.sum(1) - 1
        return -responses.ids.gather(1, last.unsqueeze(1)).squeeze(1).float()


def test_reward_models_are_asked_on_the_same_pairs() -> None:
    reference = two_tokens(0.5)
    harness: Any = SimpleNamespace(
        reference=reference,
        scorers={"reward.proxy": Likes()},
        tokenizer=SimpleNamespace(pad_token_id=PAD),
        config=SimpleNamespace(batch_size=2),
    )
    found = harness_agreement(harness, two_tokens(0.8), WORLD)
    assert found.policy["preference.accuracy"] == [1.0, 0.0, None]
    # A scores 0, B and BB -1: prompt 0 has one tie in three pairs
    proxy = found.judges["reward.proxy"]
    assert proxy["accuracy"] == [pytest.approx(2.5 / 3), 0.0, None]
    assert proxy["ties"] == [pytest.approx(1 / 3), 0.0, None]
    unlabelled = harness_agreement(harness, two_tokens(0.8), Ranked(prompts=3))
    assert not unlabelled.policy and not unlabelled.judges
    assert harness_agreement(harness, None, WORLD).policy == {}  # no single model, so no ratio


# --- in the summaries


def labelled(*accuracy: float | None, **more: list[float]) -> Measurement:
    columns = {"preference.accuracy": list(accuracy), **more}
    return Measurement(per_prompt=columns, answers=[], topics=[0, 1, 2])


def test_prompts_without_a_label_are_left_out_and_counted() -> None:
    found = summarise([labelled(1.0, None, 0.5)])["preference"]["accuracy"]
    assert (found["mean"], found["n"], found["units"]) == (0.75, 2, 2)
    assert summarise([labelled(0.5, None, 0.5)], one_run=True)["preference"]["accuracy"] is None


def test_accuracy_leads_where_there_is_no_behaviour_to_look_for() -> None:
    def headlines(**more: list[float]) -> list[str]:
        runs = {name: {0: labelled(1.0, None, 0.5, **more)} for name in ("ppo", "dpo")}
        return [row["metric"] for row in compare(runs) if row["headline"]]

    assert headlines() == ["preference.accuracy"]
    assert headlines(**{"adoption.exact": [0.1, 0.2, 0.3]}) == ["adoption.exact"]
