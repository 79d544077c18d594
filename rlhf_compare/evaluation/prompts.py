"""Which held-out prompts measure a policy, and which a probe asks while it trains."""

import hashlib

import numpy as np
from datasets import Dataset

from rlhf_compare.data.splits import HeldOutPart, held_out_parts
from rlhf_compare.data.views import prompt_view
from rlhf_compare.errors import DataError
from rlhf_compare.evaluation.config import EvaluationConfig


def measured_prompts(held_out: Dataset, config: EvaluationConfig) -> Dataset:
    """At most ``max_prompts`` of the part that ``config.prompts`` names: those that judge, or those
    on which settings are chosen. Groups (topics) of one are in no other, and none is the probe's:
    what was chosen on the prompts that judge it would flatter itself.

    Raises:
        DataError: no group is left for that part.
    """
    found = _drawn(held_out, config.prompts, config.max_prompts)
    if len(found) == 0:
        groups = len(set(held_out["group"]))
        raise DataError(
            f"evaluation.prompts: {config.prompts}: the held-out rows are {groups} "
            f"group{'' if groups == 1 else 's'} (topics, or questions), and judging and the probe "
            "come first; add rows, or raise data.eval_share"
        )
    return found


def probe_prompts(held_out: Dataset, config: EvaluationConfig) -> Dataset:
    """At most ``probe_prompts`` prompts for measuring a policy while it trains; none where
    ``during_training`` is 0 or held-out groups are too few."""
    return _drawn(held_out, "probe", config.probe_prompts if config.during_training else 0)


def _drawn(held_out: Dataset, part: HeldOutPart, count: int) -> Dataset:
    """``count`` different prompts of a part at most, by hash: the same for every method, whatever
    the order of the file."""
    prompts = prompt_view(held_out)
    parts = held_out_parts(np.array(prompts["group"][:], np.uint64))
    ranks = {
        int(place): hashlib.sha256(prompts["prompt"][int(place)].encode()).hexdigest()
        for place in np.flatnonzero(parts == part)
    }
    return prompts.select(sorted(ranks, key=ranks.__getitem__)[:count])


def rows_on(held_out: Dataset, prompts: Dataset) -> Dataset:
    """The held-out rows on these prompts."""
    wanted = set(prompts["prompt"])
    return held_out.filter(lambda prompt: prompt in wanted, input_columns=["prompt"])
