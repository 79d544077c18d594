"""Resident memory of this process."""

import threading

import psutil

_SAMPLE_SECONDS = 0.005


def resident_bytes() -> int:
    return int(psutil.Process().memory_info().rss)


class ResidentPeak:
    """Highest resident memory while the block ran, sampled 200 times a second.

    ``ru_maxrss`` would not do: importing and loading may have peaked higher.
    """

    def __enter__(self) -> "ResidentPeak":
        self.bytes = resident_bytes()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            self.bytes = max(self.bytes, resident_bytes())

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
