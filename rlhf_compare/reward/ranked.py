"""Prepares ranked responses for the trainer: sets prompts aside, encodes, makes batches."""

from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor

from rlhf_compare.data.encoding import encode_prompt, encode_response, prompt_for_another
from rlhf_compare.data.hashing import hash_64
from rlhf_compare.data.splits import normalise
from rlhf_compare.errors import DataError
from rlhf_compare.reward.degenerate import Degenerate, degenerate_response
from rlhf_compare.tensors.padding import pad_sequences


def set_aside(rows: Dataset, share: float) -> tuple[Dataset, Dataset]:
    """Rows for training and rows for early stopping, without a common prompt.

    Raises:
        DataError: one of the two is empty.
    """

    def aside(prompt: str) -> bool:
        return hash_64(f"validation:{normalise(prompt)}") / 2**64 < share

    parts = (
        rows.filter(lambda prompt: not aside(prompt), input_columns="prompt"),
        rows.filter(aside, input_columns="prompt"),
    )
    if not all(map(len, parts)):
        raise DataError(
            f"reward.validation_share = {share} of {len(rows)} rows leaves {len(parts[0])} to "
            f"train on and {len(parts[1])} to stop by; change it or leave out "
            "reward.early_stopping_patience"
        )
    return parts


def reencode(
    rows: Dataset, tokenizer: Any, max_length: int | None, policy_tokenizer: Any = None
) -> Dataset:
    """:func:`ranked_view` in the tokens of another tokenizer; responses that are too long for its
    model are left out, and with them prompts that keep fewer than two.

    Args:
        rows: ``prompt``, ``responses`` (texts) and ``scores``.
        max_length: tokens of prompt and response together; None = any.
        policy_tokenizer: the one that the prompts were written for; None = this one.

    Raises:
        DataError: no row is left.
    """

    def columns(row: dict[str, Any]) -> dict[str, Any]:
        text = prompt_for_another(row["prompt"], policy_tokenizer or tokenizer, tokenizer)
        prompt = encode_prompt(tokenizer, text)
        kept = [
            (ids, score)
            for response, score in zip(row["responses"], row["scores"], strict=True)
            for ids in [encode_response(tokenizer, response)]
            if max_length is None or len(prompt) + len(ids) <= max_length
        ]
        return {
            "prompt_ids": prompt,
            "response_ids": [ids for ids, _ in kept],
            "scores": [score for _, score in kept],
        }

    encoded = rows.map(columns, remove_columns=rows.column_names)
    kept = encoded.filter(lambda scores: len(scores) > 1, input_columns="scores")
    if not len(kept):
        raise DataError(
            f"reward.backbone: none of {len(rows)} rows keeps two responses within the "
            f"{max_length} tokens that the backbone reads; name another, or shorten the data"
        )
    return kept


class RankedCollator:
    """Prompts with all their responses in one batch: each response stands, and is scored, once.

    Args:
        pad_id: padding; it is masked, so any valid id will do.
        max_responses: of one prompt; from more, this many are drawn at random.
        seed: of these draws. A draw depends only on the seed, the epoch and the number of the
            batch, so that a run resumed inside an epoch draws as an uninterrupted run.
        degenerate: kinds of broken texts; each prompt gets one of each beside its responses, level
            with the worst of them, made anew each time it comes up.
    """

    def __init__(
        self,
        pad_id: int,
        max_responses: int | None = None,
        seed: int = 0,
        degenerate: Sequence[Degenerate] = (),
    ) -> None:
        self.pad_id, self.max_responses, self.seed = pad_id, max_responses, seed
        self.degenerate = degenerate
        self.epoch_begins(0)

    def epoch_begins(self, epoch: int, batches: int = 0) -> None:
        """Draw for the batches of this epoch, the first ``batches`` of which were drawn before."""
        self._epoch, self._batch = epoch, batches

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """``input_ids``, ``attention_mask`` (N, T); (N,) ``groups``, ``ranks`` and ``made``, which
        says of a response whether it is a degenerate one."""
        sequences, groups, ranks, made = [], [], [], []
        place = f"{self.seed} {self._epoch} {self._batch}"
        draws = torch.Generator().manual_seed(hash_64(place) >> 1)
        self._batch += 1
        for group, row in enumerate(rows):
            for index in self._drawn(len(row["response_ids"]), draws):
                sequences.append(row["prompt_ids"] + row["response_ids"][index])
                groups.append(group)
                ranks.append(row["scores"][index])
                made.append(False)
            for kind in self.degenerate:
                broken = degenerate_response(kind, row, draws)
                if broken is not None:
                    sequences.append(row["prompt_ids"] + broken)
                    groups.append(group)
                    ranks.append(min(row["scores"]))
                    made.append(True)
        ids, mask = pad_sequences(sequences, self.pad_id, "right")
        return {
            "input_ids": ids,
            "attention_mask": mask.long(),
            "groups": torch.tensor(groups),
            "ranks": torch.tensor(ranks, dtype=torch.float32),
            "made": torch.tensor(made),
        }

    def _drawn(self, count: int, draws: torch.Generator) -> Sequence[int]:
        if self.max_responses is None or count <= self.max_responses:
            return range(count)
        return sorted(torch.randperm(count, generator=draws)[: self.max_responses].tolist())
