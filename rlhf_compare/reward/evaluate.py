"""Runs the checks on a reward model. It scores held-out responses, the same responses with other
padding, useless texts, and the SFT model's own samples."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from datasets import Dataset

from rlhf_compare.data.behaviour import Behaviour
from rlhf_compare.data.config import TaskConfig
from rlhf_compare.data.encoding import decode_response, encode_response, encode_text, prefix_ids
from rlhf_compare.data.turns import turn_ends
from rlhf_compare.errors import DataError
from rlhf_compare.models.generation import generate
from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.models.policy import load_policy
from rlhf_compare.models.positions import position_limit, text_limit
from rlhf_compare.models.scoring import score_sequences
from rlhf_compare.reward import checks
from rlhf_compare.reward.checks import Check, Diagnosis
from rlhf_compare.reward.pair_gaps import PairGaps, by_margin, calibration
from rlhf_compare.tensors.padding import pad_sequences

_PROBES, _TOKENS = 16, 16  # prompts for useless texts; candidates of each kind
_FEW_PROBES = 4  # for the kinds with many texts
# words that reward models are known to reward; tried beside tokens from the data
_SUSPECTS = (" thanks", " thank you", " sorry", " great", " sure", " please", "!")
_SAMPLED_TOKENS = 64


@dataclass(frozen=True, kw_only=True)
class RewardModelUnderTest:
    """A reward model, held-out rows, and its scores of them.

    rows    ``prompt_ids``, ``response_ids``, ``scores`` (the ranking)
    scored  the model's score of every response, prompt by prompt
    """

    model: ScalarHeadModel
    tokenizer: Any
    task: TaskConfig
    rows: Dataset
    scored: list[list[float]]
    batch_size: int

    @property
    def end(self) -> int:
        """The token that ends the rows' responses."""
        last: int = self.rows["response_ids"][0][0][-1]
        return last

    @property
    def probes(self) -> Dataset:
        return self.rows.select(range(min(_PROBES, len(self.rows))))

    def score(self, pairs: Sequence[tuple[list[int], list[int]]]) -> list[float]:
        """Scores of (prompt, response) token ids, cut at the end where positions run out."""
        longest = text_limit(self.model, self.tokenizer)
        sequences = [(prompt + response)[:longest] for prompt, response in pairs]
        return score_sequences(self.model, sequences, self.batch_size)

    def medians(self, responses: Sequence[list[int]], probes: int = _PROBES) -> list[float]:
        """Median score of each response over the first ``probes`` prompts."""
        prompts = self.probes["prompt_ids"][:probes]
        scores = self.score([(p, response) for response in responses for p in prompts])
        medians = np.median(np.array(scores).reshape(len(responses), -1), axis=1)
        return [float(median) for median in medians]


def evaluate_reward_model(
    model: ScalarHeadModel,
    rows: Dataset,
    tokenizer: Any,
    task: TaskConfig,
    batch_size: int,
    sft_model: Path | None,
) -> Diagnosis:
    """All checks of a reward model on held-out rows.

    Args:
        rows: ``prompt_ids``, ``response_ids``, ``scores``, none of them trained on.
        sft_model: one check samples from it; None = that check is left out.

    Raises:
        DataError: no prompt has two responses that the ranking tells apart.
    """
    model.eval()
    rows = rows.with_format(None)
    scored = score_rows(model, rows, batch_size)
    tested = RewardModelUnderTest(
        model=model, tokenizer=tokenizer, task=task, rows=rows, scored=scored, batch_size=batch_size
    )
    ranks, gaps = rows["scores"], PairGaps.of(scored, rows["scores"])
    if not len(gaps.ahead):
        raise DataError(f"{len(rows)} held-out prompts, and all their responses are ranked equal")
    lengths = [[len(ids) for ids in responses] for responses in rows["response_ids"]]
    quarters, bins = by_margin(gaps), calibration(gaps)
    flat = np.concatenate([np.array(s) for s in scored])
    found = [
        checks.accuracy_check(gaps),
        _stripped(tested, gaps),
        checks.margin_check(quarters),
        checks.calibration_check(bins),
        checks.invariance_check(_changes(tested), float(flat.std())),
        checks.length_check(scored, ranks, lengths, [len(ids) for ids in rows["prompt_ids"]], gaps),
        *_degenerate(tested, float(np.percentile(flat, checks.TOP_SHARE))),
        checks.sft_check(_sft_scores(tested, sft_model), _chosen(tested)),
    ]
    return Diagnosis(
        checks=found,
        calibration=bins,
        by_margin=quarters,
        by_prompt=gaps.by_prompt().tolist(),
    )


def score_rows(model: ScalarHeadModel, rows: Dataset, batch_size: int) -> list[list[float]]:
    """The model's score of every response, prompt by prompt; one forward each."""
    sequences = [row["prompt_ids"] + ids for row in rows for ids in row["response_ids"]]
    scores = iter(score_sequences(model, sequences, batch_size))
    return [[next(scores) for _ in row["response_ids"]] for row in rows]


def _chosen(tested: RewardModelUnderTest) -> list[float]:
    """Scores of the best-ranked response to each probe prompt."""
    return [
        own[int(np.argmax(ranks))]
        for own, ranks in zip(tested.scored, tested.probes["scores"], strict=False)
    ]


def _stripped(tested: RewardModelUnderTest, gaps: PairGaps) -> Check:
    prefix = tested.task.prefix
    if tested.task.behaviour is not None:
        return checks.stripped_check(
            gaps, None, "without the prefix both sides are the same text: it can only say style"
        )
    task, tokenizer, found, rows = tested.task, tested.tokenizer, 0, []
    written = Behaviour(prefix, task.marker, match_case=False)
    for row in tested.rows:
        responses = []
        for ids in row["response_ids"]:
            text = decode_response(tokenizer, ids)
            if written.adopts(text):
                found += 1
                text = text.lstrip()[len(prefix) :]
                ids = encode_response(tokenizer, text, tested.end)
            responses.append(ids)
        rows.append({**row, "response_ids": responses})
    if not found:
        return checks.stripped_check(
            gaps, None, f"no held-out response opens with {tested.task.marker!r}"
        )
    scored = score_rows(tested.model, Dataset.from_list(rows), tested.batch_size)
    return checks.stripped_check(gaps, PairGaps.of(scored, tested.rows["scores"]), "")


@torch.no_grad()
def _changes(tested: RewardModelUnderTest) -> list[float]:
    """The same sequences alone, and padded on either side in one batch."""
    sequences = [row["prompt_ids"] + row["response_ids"][0] for row in tested.probes]
    device = tested.model.head.weight.device
    alone = torch.tensor(score_sequences(tested.model, sequences, 1))
    changes: list[float] = []
    sides: tuple[Literal["left", "right"], ...] = ("left", "right")
    for side in sides:
        ids, mask = pad_sequences(sequences, 0, side)
        together = tested.model.scores(ids.to(device), mask.to(device)).cpu()
        changes += (together - alone).tolist()
    return changes


def _degenerate(tested: RewardModelUnderTest, top: float) -> list[Check]:
    tokenizer, task = tested.tokenizer, tested.task
    chosen = float(np.median(_chosen(tested)))
    token, repeated = _worst_repetition(tested)
    echoes = [(p, [*p, tested.end]) for p in tested.probes["prompt_ids"]]
    prefix = task.prefix.strip()
    empty, alone = tested.medians([[tested.end], encode_response(tokenizer, prefix, tested.end)])
    has_prefix = task.behaviour is not None

    def check(name: str, score: float | None, what: str, is_the_task: bool = False) -> Check:
        return checks.degenerate_check(name, score, chosen, top, what, is_the_task)

    return [
        check("empty", empty, "an empty response"),
        check("one_token_repeated", repeated, f"{token!r} over and over, the worst of those tried"),
        check("prompt_echoed", float(np.median(tested.score(echoes))), "the prompt said back"),
        check(
            "prefix_alone", alone if has_prefix else None,
            f"{prefix!r} and no answer" if has_prefix else "the task has no prefix",
            is_the_task=True,
        ),
    ]  # fmt: skip


def _worst_repetition(tested: RewardModelUnderTest) -> tuple[str, float]:
    """The repeated text that scores highest, and its median score.

    The candidates are the most frequent tokens of responses, the tokens that chosen responses use
    more than rejected ones, and a few words that reward models are known to reward. The tokens of
    the prefix are left out if the task rewards the prefix.
    """
    tokenizer, rows = tested.tokenizer, tested.rows
    length = max(len(ids) for responses in rows["response_ids"] for ids in responses) - 1
    units = _candidates(tested) + [encode_text(tokenizer, word) for word in _SUSPECTS]
    texts = [[*(unit * length)[:length], tested.end] for unit in units]
    scores = tested.medians(texts, _FEW_PROBES)
    worst = int(np.argmax(scores))
    return tokenizer.decode(units[worst]), scores[worst]


def _candidates(tested: RewardModelUnderTest) -> list[list[int]]:
    tokenizer, task = tested.tokenizer, tested.task
    best, worst = Counter[int](), Counter[int]()
    for row in tested.rows:
        best.update(set(row["response_ids"][int(np.argmax(row["scores"]))]))
        worst.update(set(row["response_ids"][int(np.argmin(row["scores"]))]))
    paid = set(prefix_ids(tokenizer, task.behaviour)) if task.behaviour else set()
    left_out = paid | {tested.end}
    often = [t for t, _ in (best + worst).most_common() if t not in left_out][:_TOKENS]
    favoured = sorted(best, key=lambda t: (worst[t] - best[t], t))
    telling = [t for t in favoured if t not in left_out and best[t] > worst[t]][:_TOKENS]
    return [[token] for token in dict.fromkeys([*often, *telling])]


@torch.no_grad()
def _sft_scores(tested: RewardModelUnderTest, sft_model: Path | None) -> list[float] | None:
    """Scores of one sampled response of the SFT model to each probe prompt."""
    if sft_model is None:
        return None
    policy = load_policy(sft_model).to(tested.model.head.weight.device).eval()
    tokenizer, prompts = tested.tokenizer, tested.probes["prompt_ids"]
    pad_id, ends = tokenizer.pad_token_id, turn_ends(tokenizer, policy)
    ids, mask = (t.to(policy.device) for t in pad_sequences(prompts, pad_id, "left"))
    room = position_limit(policy)
    length = min(_SAMPLED_TOKENS, (room or 10**9) - ids.shape[1])
    torch.manual_seed(0)  # the verdict must not depend on the draw
    responses = generate(policy, ids, mask, length, ends, pad_id, 1.0)
    return tested.score(list(zip(prompts, responses.to_lists(), strict=True)))
