"""One batch of sampled responses, with their log-probabilities, values and scores."""

from dataclasses import dataclass, fields

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """B prompts with their responses of at most R tokens. Nothing here has a gradient.

    sequences      (B, T)  prompt, response, padding: nothing between the first two
    lengths        (B,)    real tokens of a row; on the CPU, where the cuts are planned
    predicted      (B, T)  True on the response tokens, EOS included
    response_mask  (B, R)  the same on the response alone: True first, then False
    ended          (B,)    the response ends in EOS
    scores         (B,)    r(x, y), centred, less the penalty for a missing EOS
    logprobs       (B, R)  log pi of the policy that sampled, at the sampling temperature
    ref_logprobs   (B, R)  log pi_ref of the same tokens
    values         (B, R)  value before each token is sampled
    token_kl       (B, R)  KL(pi || pi_ref) over the vocabulary at each position, nats
    entropy        (B, R)  of the policy at each position, nats

    The per-token columns are 0 where not ``response_mask``.
    """

    sequences: Tensor
    lengths: Tensor
    predicted: Tensor
    response_mask: Tensor
    ended: Tensor
    scores: Tensor
    logprobs: Tensor
    ref_logprobs: Tensor
    values: Tensor
    token_kl: Tensor
    entropy: Tensor

    def __len__(self) -> int:
        return len(self.sequences)

    def rows(self, index: Tensor) -> "Rollout":
        """The episodes at ``index``."""
        return Rollout(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


@dataclass(frozen=True)
class Window:
    """Some rows of a rollout without the columns that are padding in all of them.

    rows       (b,)    indices into the rollout
    sequences  (b, t)  padding last
    predicted  (b, t)  True on real response tokens
    """

    rows: Tensor
    sequences: Tensor
    predicted: Tensor

    @property
    def tokens(self) -> Tensor:
        """Ids of the real response tokens, row by row: (N,)."""
        return self.sequences[self.predicted]


def window(sequences: Tensor, lengths: Tensor, predicted: Tensor, rows: Tensor) -> Window:
    """Cut a micro-batch to its own width: finished and short sequences cost nothing."""
    width = int(lengths[rows].max())
    return Window(rows, sequences[rows, :width], predicted[rows, :width])
