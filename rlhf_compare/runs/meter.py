"""Device time, peak memory and token counts of one stage, by phase."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import torch

from rlhf_compare.runs.files import read_json, write_json

_SAMPLE_SECONDS, _JOURNAL_SECONDS = 0.05, 2.0
_EVALUATE = "evaluate"


class DeviceMeter:
    """Seconds the device was held for a stage, by phase; memory and tokens without evaluations.

    A phase inside another pauses the outer one, so the phases never overlap and their sum is
    comparable with the stage's own total, which is clocked independently. On a GPU phases are cut
    by CUDA events and synchronised at their ends; on a CPU it is wall time, and named so.

    Args:
        journal: a file that says, to two seconds, how long the device was held for the stage, so
            that a process which comes after a kill knows; None = nowhere.
        held_before: what the journal said when the stage went on.
    """

    def __init__(self, journal: Path | None = None, held_before: float = 0.0) -> None:
        self._journal, self._held_before = journal, held_before
        self.lost = held_before  # seconds of earlier processes of which no result is left
        self._kept = 0.0  # seconds of earlier processes that a checkpoint holds
        self._wall_start = time.perf_counter()
        self.cuda = torch.cuda.is_available()
        self.phases: dict[str, float] = defaultdict(float)
        self.tokens: Counter[str] = Counter()
        self.complexity: dict[str, dict[str, int]] = {}  # see runs/complexity.py
        self.samples = 0  # pairs, episodes or demonstrations that a gradient step was made of
        self.total = 0.0
        self._earlier = 0.0  # seconds of the stage before this process, and of others for it
        self._charged: Counter[str] = Counter()  # of these, what others spent, by phase
        self._start: Any = None
        self._resident: PeakResidentMemory | None = None
        self._earlier_peak = 0
        self.peak_memory_bytes: int | None = None
        self._cuda_peak = 0  # before the last evaluation
        self._open: list[str] = []
        self._mark: Any = None

    @contextmanager
    def stage(self) -> Iterator[None]:
        """Clock the whole stage and watch its memory."""
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
        self._start, self._wall_start = self._now(), time.perf_counter()
        try:
            watch = PeakResidentMemory(lambda: self._evaluating, self._write_journal)
            with watch as self._resident:
                yield
        finally:
            self._write_journal()
            self.total = self._total()
            self.peak_memory_bytes = self._peak()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Charge what happens inside to ``name``; inside an evaluation everything is evaluation,
        also what generates or scores, for training pays for none of it."""
        inside = self._evaluating
        if inside:
            name = _EVALUATE
        elif name == _EVALUATE:
            self._keep_cuda_peak()
        self._charge()
        self._open.append(name)
        try:
            yield
        finally:
            self._charge()
            self._open.pop()
            if self.cuda and name == _EVALUATE and not inside:
                torch.cuda.reset_peak_memory_stats()

    def charge(self, name: str, seconds: float) -> None:
        """Charge seconds that an earlier run spent for this one, to the phase and to the stage."""
        self.phases[name] += seconds
        self._charged[name] += seconds  # type: ignore[assignment]
        self._earlier += seconds

    def state(self) -> dict[str, Any]:
        """What was counted up to now, for a checkpoint."""
        self._charge()
        return {
            "total": self._total(),
            "kept": self._kept + time.perf_counter() - self._wall_start,
            "phases": dict(self.phases),
            "tokens": dict(self.tokens),
            "samples": self.samples,
            "peak_memory_bytes": self._peak(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state` of the process that was interrupted.

        Seconds add up: a device that was held to load the models a second time was held. Steps
        after the checkpoint that were lost count once, when they are made again; what they took
        the first time is in :attr:`lost` and in no phase. What others spent for this stage is in
        ``state`` already and counts no second time.
        """
        self._kept = state["kept"]
        self.lost = max(0.0, self._held_before - self._kept)
        for name, seconds in self._charged.items():
            self.phases[name] -= seconds
            self._earlier -= seconds
        self._charged.clear()
        for name, seconds in state["phases"].items():
            self.phases[name] += seconds
        self._earlier += state["total"]
        self.tokens.update(state["tokens"])
        self.samples += state["samples"]
        self._earlier_peak = max(self._earlier_peak, state["peak_memory_bytes"] or 0)

    def count(self, samples: int = 0, **tokens: int) -> None:
        """Add to the counts, for instance ``count(generated=640)``; not in an evaluation."""
        if not self._evaluating:
            self.samples += samples
            self.tokens.update(tokens)

    def held(self) -> float:
        """Seconds the device was held for the stage up to now, evaluations left out; those of
        processes that were interrupted are in it as far as a checkpoint holds what they did."""
        self._charge()
        total = sum(self.phases.values()) if self._start is None else self._total()
        return max(0.0, total - self.phases.get(_EVALUATE, 0.0))

    @property
    def clock(self) -> str:
        return "cuda_events" if self.cuda else "wall"

    def as_dict(self) -> dict[str, Any]:
        """The contents of ``cost.json``: seconds, bytes, tokens, parameters and lines of code."""
        return {
            "clock": self.clock,
            "total": self.total,
            "lost_to_interruptions": self.lost,
            "phases": dict(sorted(self.phases.items())),
            "peak_memory_bytes": self.peak_memory_bytes,
            "tokens": dict(sorted(self.tokens.items())),
            **({"complexity": self.complexity} if self.complexity else {}),
            "samples": self.samples,
        }

    @property
    def _evaluating(self) -> bool:
        return _EVALUATE in self._open

    def _total(self) -> float:
        if self._start is None:
            return self._earlier
        return self._seconds(self._start, self._now()) + self._earlier

    def _write_journal(self) -> None:
        """By the wall clock on a GPU too: this is written beside the device's work."""
        if self._journal is not None:
            here = time.perf_counter() - self._wall_start
            with suppress(OSError):
                write_json(self._journal, self.lost + self._kept + here)

    def _peak(self) -> int | None:
        self._keep_cuda_peak()
        peak = self._cuda_peak if self.cuda else self._resident.peak if self._resident else 0
        return max(peak, self._earlier_peak) or None

    def _keep_cuda_peak(self) -> None:
        if self.cuda:
            self._cuda_peak = max(self._cuda_peak, torch.cuda.max_memory_allocated())

    def _charge(self) -> None:
        now = self._now()
        if self._open:
            self.phases[self._open[-1]] += self._seconds(self._mark, now)
        self._mark = now

    def _now(self) -> Any:
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _seconds(self, start: Any, end: Any) -> float:
        if not self.cuda:
            return float(end - start)
        end.synchronize()
        return float(start.elapsed_time(end)) / 1000.0


def seconds_held(journal: Path) -> float:
    """What a meter of an earlier process wrote; 0 where there was none."""
    try:
        return float(read_json(journal))
    except (OSError, ValueError, TypeError):
        return 0.0


class PeakResidentMemory:
    """Highest resident memory of this process while the block ran, in bytes, as ``peak``.

    ``ru_maxrss`` would not do: it never falls, so a small stage after a large one looks large.

    Args:
        away: True while what is in memory is not the block's.
        tick: called every two seconds.
        every: seconds between two samples.
    """

    def __init__(
        self,
        away: Callable[[], bool] = lambda: False,
        tick: Callable[[], None] = lambda: None,
        every: float = _SAMPLE_SECONDS,
    ) -> None:
        self._away, self._tick, self._every = away, tick, every

    def __enter__(self) -> "PeakResidentMemory":
        self._process = psutil.Process()
        self.peak = self._process.memory_info().rss
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        last = time.monotonic()
        while not self._stop.wait(self._every):
            if time.monotonic() - last > _JOURNAL_SECONDS:
                last = time.monotonic()
                self._tick()
            if not self._away():
                self.peak = max(self.peak, self._process.memory_info().rss)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
