"""The loss over K ranked responses (Ouyang et al. 2022, equation 1), as functions of tensors.

Dimensions: N responses of some prompts in one row, M pairs of responses to the same prompt.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class RankedPairs:
    """Every pair of responses to one prompt with different ranks.

    winners, losers  (M,) indices into the N responses
    groups           (M,) the prompt of each pair, numbered from 0
    prompts          how many prompts have such a pair; the others do not count
    ties             pairs of equal rank; they count in no sum and in no divisor
    """

    winners: Tensor
    losers: Tensor
    groups: Tensor
    prompts: int
    ties: int

    @property
    def siblings(self) -> Tensor:
        """(M,) how many pairs the prompt of each pair has; divides the loss of that pair."""
        return torch.bincount(self.groups)[self.groups]


def ranked_pairs(groups: Tensor, ranks: Tensor) -> RankedPairs:
    """All pairs inside each prompt, C(K, 2) of K responses less the ties.

    Args:
        groups: (N,) int, which prompt a response answers, numbered from 0.
        ranks: (N,) float, higher is better, equal is a tie.
    """
    same = groups.unsqueeze(1) == groups.unsqueeze(0)
    better = same & (ranks.unsqueeze(1) > ranks.unsqueeze(0))
    winners, losers = better.nonzero(as_tuple=True)
    pairs = (int(same.sum()) - len(groups)) // 2
    of = groups[winners]
    return RankedPairs(winners, losers, of, len(of.unique()), pairs - len(winners))


def ranking_losses(
    scores: Tensor,
    pairs: RankedPairs,
    margins: Tensor | None = None,
    label_smoothing: float = 0.0,
    centering: float = 0.0,
) -> Tensor:
    """-(1-e) log sigmoid(d) - e log sigmoid(-d) + c (s_w + s_l)^2, d = s_w - s_l - margin, of
    every pair: (M,).

    Divided by ``pairs.siblings`` and ``pairs.prompts`` and summed it is the equation's mean over
    prompts of the mean over a prompt's pairs: C(K, 2) in the equation, fewer where there are ties.
    With K = 2 it is ``trl.RewardTrainer``'s loss, margin and ``center_rewards_coefficient``
    included.

    Args:
        scores: (N,) of the reward model.
        margins: (M,) how far a winner must be ahead before it counts as ahead; None = 0.
        label_smoothing: e, the share of pairs that are taken to be labelled the wrong way round.
        centering: c, draws scores to 0 (Eisenstein et al. 2023, equation 2).
    """
    winners, losers = scores[pairs.winners], scores[pairs.losers]
    ahead = winners - losers if margins is None else winners - losers - margins
    losses = -F.logsigmoid(ahead)
    if label_smoothing:
        losses = (1 - label_smoothing) * losses - label_smoothing * F.logsigmoid(-ahead)
    return losses + centering * (winners + losers) ** 2 if centering else losses


def ranking_loss(
    scores: Tensor,
    groups: Tensor,
    ranks: Tensor,
    margins: bool = False,
    label_smoothing: float = 0.0,
    centering: float = 0.0,
    prompts: float | None = None,
) -> Tensor:
    """The scalar to minimise; 0 where no prompt has a pair.

    Args:
        scores, groups, ranks: (N,), see above.
        margins: a pair's margin is the difference of its ranks.
        prompts: what to divide by; None = the prompts with a pair. A step in several parts divides
            each by the prompts of all, so that the parts add up to the loss of the whole.
    """
    pairs = ranked_pairs(groups, ranks)
    gap = ranks[pairs.winners] - ranks[pairs.losers] if margins else None
    losses = ranking_losses(scores, pairs, gap, label_smoothing, centering)
    return (losses / pairs.siblings).sum() / max(prompts or pairs.prompts, 1)
