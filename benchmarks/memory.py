"""Resident memory of this process."""

import psutil

from rlhf_compare.runs.meter import PeakResidentMemory

_SAMPLE_SECONDS = 0.005


def resident_bytes() -> int:
    return int(psutil.Process().memory_info().rss)


def resident_peak() -> PeakResidentMemory:
    """The package's watch, sampled 200 times a second: a benchmark runs for a few seconds only."""
    return PeakResidentMemory(every=_SAMPLE_SECONDS)
