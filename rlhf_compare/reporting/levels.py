"""Whether a method learned the behaviour at all, before it is compared with another one."""

from typing import Literal

from rlhf_compare.reporting.comparisons import SFT, difference
from rlhf_compare.reporting.schema import Results

Level = Literal["learned", "not learned", "not shown", "unknown"]
LEAST_GAIN = 0.01  # of adoption: one answer in a hundred; a reward has no scale, so any gain counts


def level(results: Results, name: str, path: str) -> Level:
    """Read from the interval of the gain over SFT in the metric at `path`.

    Returns:
        learned: the whole interval is above the least gain; not learned: no part of it is;
        not shown: the interval holds both; unknown: there is no interval.
    """
    gain = _gain(results, name, path)
    if gain is None:
        return "unknown"
    least = LEAST_GAIN if path.startswith("adoption.") else 0.0
    low, high = gain
    if low > least:
        return "learned"
    return "not learned" if high <= least else "not shown"


def _gain(results: Results, name: str, path: str) -> tuple[float, float] | None:
    """The paired interval where there is one, else what the two intervals allow at most. Of a win
    rate against SFT, how far it is above a draw."""
    if path == "win_rate_vs_sft":
        rate = results.methods[name].estimate(path)
        bounds = None if rate is None else rate.interval
        return None if bounds is None else (bounds[0] - 0.5, bounds[1] - 0.5)
    paired = difference(results, path, name, SFT)
    if paired is not None:
        return paired.low, paired.high
    methods = results.methods
    start = methods[SFT].estimate(path) if SFT in methods else None
    end = methods[name].estimate(path)
    if start is None or end is None or start.interval is None or end.interval is None:
        return None
    return end.interval[0] - start.interval[1], end.interval[1] - start.interval[0]
