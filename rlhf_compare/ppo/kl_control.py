"""beta, fixed or steered."""

from dataclasses import dataclass

_MAX_ERROR = 0.2


@dataclass
class KLController:
    """Holds beta; with a target, moves it so that the KL per response approaches the target.

        e = clip(KL / target - 1, -0.2, 0.2),    beta <- beta * (1 + e * n / horizon)

    (Ziegler et al. 2019, section 2.2). Part of the checkpoint: a run that forgets beta on resuming
    starts its penalty over.

    Attributes:
        kl_coef: beta now.
        target: nats per response; None = beta is fixed.
        horizon: episodes.
    """

    kl_coef: float
    target: float | None = None
    horizon: int = 10_000

    def update(self, kl: float, episodes: int) -> None:
        """After a rollout of ``episodes`` with mean KL ``kl`` (nats per response)."""
        if self.target is not None:
            error = min(max(kl / self.target - 1.0, -_MAX_ERROR), _MAX_ERROR)
            self.kl_coef *= 1.0 + error * episodes / self.horizon
