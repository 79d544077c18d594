"""Metrics of a rollout; every mean is over responses or over real tokens."""

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from rlhf_compare.ppo.loss import ESTIMATORS, KLEstimator, explained_variance
from rlhf_compare.ppo.rollout import Rollout
from rlhf_compare.tensors.masked import masked_mean, masked_sum


def rollout_metrics(
    rollout: Rollout,
    returns: Tensor | None,
    kl_coef: float,
    kl_estimator: KLEstimator = "k1",
) -> dict[str, float]:
    """The metrics of one rollout, under TRL 1.12's names where TRL has one.

    Args:
        returns: (B, R); None leaves the explained variance out.
        kl_coef: beta of this rollout.
        kl_estimator: of the penalty; ``objective/kl`` is always k1.
    """
    mask = rollout.response_mask
    # masked, because TRL's own metric of this name counted padding
    kl = masked_sum(rollout.logprobs - rollout.ref_logprobs, mask, dim=1)
    estimate = ESTIMATORS[kl_estimator](rollout.logprobs, rollout.ref_logprobs)
    penalty = kl_coef * masked_sum(estimate, mask, dim=1)
    metrics = {
        "objective/kl": kl.mean(),
        "objective/kl_exact": masked_sum(rollout.token_kl, mask, dim=1).mean(),
        "objective/entropy": masked_sum(-rollout.logprobs, mask, dim=1).mean(),
        "objective/entropy_per_token": masked_mean(rollout.entropy, mask),
        "objective/non_score_reward": -penalty.mean(),
        "objective/rlhf_reward": (rollout.scores - penalty).mean(),
        "objective/scores": rollout.scores.mean(),
        "objective/scores_std": rollout.scores.std(unbiased=False),
        "val/eos_rate": rollout.ended.float().mean(),
        "val/num_eos_tokens": rollout.ended.float().sum(),
        "val/response_length": mask.sum(1).float().mean(),
    }
    if returns is not None:
        metrics["val/explained_variance"] = explained_variance(rollout.values, returns, mask)
    return {"objective/kl_coef": kl_coef, **{name: float(v) for name, v in metrics.items()}}


def append_samples(path: Path, rollout: Rollout, tokenizer: Any, step: int, count: int = 2) -> None:
    """Write the first responses of a rollout as text, one JSON object a line."""
    kl = masked_sum(rollout.token_kl, rollout.response_mask, dim=1)
    with path.open("a", encoding="utf-8") as stream:
        for row in range(min(count, len(rollout))):
            ids, response = rollout.sequences[row], rollout.predicted[row]
            start = int(response.int().argmax())
            sample = {
                "step": step,
                "prompt": tokenizer.decode(ids[:start]),
                "response": tokenizer.decode(ids[response]),
                "score": float(rollout.scores[row]),
                "kl": float(kl[row]),
            }
            stream.write(json.dumps(sample) + "\n")
