"""What may be said of a number that another machine would not give again.

Processors round differently, and training with sampling lets a rounding grow until the run is
another one: the tiny recipe's PPO, seed 0, ended at an exact adoption of 0.983 on one machine and
0.972 on another. On one machine a run repeats bit for bit. A seed is therefore a label of a run on
one kind of machine, and a machine acts like one more draw of the seed: an interval over three or
more seeds covers it as far as that holds, one over prompts alone does not.
"""

from collections.abc import Collection, Sequence

from rlhf_compare.evaluation.verdicts import LEAST_SEEDS


def machine_caveat(by_seed: Sequence[float], devices: Collection[str], digits: int = 3) -> str:
    """The sentence for a page, of the numbers that it leads with.

    Args:
        by_seed: the headline mean of each seed of one method, as ``by_seed`` of an estimate.
        devices: names of the devices on which the compared stages ran.
        digits: after the point, in the sentence.

    Returns:
        empty where nothing was trained. Several devices: a difference may be theirs. Fewer than
        three seeds: no interval holds another machine. Else the measured spread of the seeds, below
        which a digit is one of this machine.
    """
    if not by_seed:
        return ""
    if len(set(devices)) > 1:
        listed = ", ".join(sorted(set(devices)))
        return (
            f"The stages ran on different devices ({listed}), which round differently: a part of "
            "any difference may be the devices'."
        )
    again = "The same seed on another kind of processor is another run, because roundings grow"
    if len(by_seed) < LEAST_SEEDS:
        return f"{again}; these intervals cover neither that nor another seed."
    least, most = min(by_seed), max(by_seed)
    return (
        f"{again}; expect it to differ as seeds do here ({least:.{digits}f} to {most:.{digits}f}), "
        "which the intervals cover, and read a seed's own number no finer."
    )
