"""A pair in one row: the prompt once, then both responses, neither of which sees the other."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class PairLayout:
    """N pairs as N rows of T tokens, where TRL's batch holds 2N rows and every prompt twice.

    Attributes:
        input_ids: (N, T) prompt, chosen, rejected, padding.
        position_ids: (N, T); the rejected response stands where the chosen one does.
        attention_mask: (N, 1, T, T), True where a token (third axis) sees another (fourth).
        predicted_by: (M,) for every label of the batch, row after row, the token in whose state it
            is predicted, as an index into N * T.
    """

    input_ids: Tensor
    position_ids: Tensor
    attention_mask: Tensor
    predicted_by: Tensor

    @classmethod
    def of(cls, input_ids: Tensor, labels: Tensor) -> "PairLayout | None":
        """From TRL's batch; None if its two halves are not pairs that share their prompts.

        Args:
            input_ids: (2N, W) chosen rows, then rejected rows, padded last.
            labels: (2N, W), -100 = none; a response is one stretch. A first token has no label
                that anything predicts.
        """
        labelled, (rows, width) = labels != -100, labels.shape
        if rows % 2:
            return None
        start = torch.where(labelled.any(1), labelled.long().argmax(1), width)
        first, count = start.view(2, -1), labelled.sum(1).view(2, -1)
        prompt = first.amin(0)
        place = torch.arange(width, device=labels.device)
        chosen, rejected = input_ids.view(2, -1, width)
        if not bool(
            ((first == prompt) | (count == 0)).all()
            & ((chosen == rejected) | (place >= prompt.unsqueeze(1))).all()
        ):
            return None
        end = (prompt + count[0]).unsqueeze(1)  # of the chosen response: (N, 1)
        length = int((prompt + count.sum(0)).clamp(max=2 * width).max())
        token = torch.arange(length, device=labels.device)
        position = torch.where(token < end, token, token - count[0].unsqueeze(1))
        position = position.clamp(max=width - 1)  # padding must stay inside the model's positions
        source = torch.where(token < end, position, position + width)
        in_chosen = (token >= prompt.unsqueeze(1)) & (token < end)
        apart = (token >= end).unsqueeze(2) & in_chosen.unsqueeze(1)
        # For rejected tokens after the first, add the length of the chosen response: the state that
        # predicts them comes after that response.
        behind = (place > prompt.unsqueeze(1)) * count[0].unsqueeze(1)
        before = place - 1 + torch.stack([torch.zeros_like(behind), behind])
        before = before + length * torch.arange(rows // 2, device=labels.device).unsqueeze(1)
        return cls(
            input_ids=torch.cat([chosen, rejected], dim=1).gather(1, source),
            position_ids=position,
            attention_mask=((token.unsqueeze(1) >= token) & ~apart).unsqueeze(1),
            predicted_by=before.view(rows, width)[:, 1:][labelled[:, 1:]],
        )
