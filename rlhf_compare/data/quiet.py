"""The bars of ``datasets``, off for a while: one bar of ours, not one a chunk."""

from collections.abc import Iterator
from contextlib import contextmanager

from datasets import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars


@contextmanager
def no_bars() -> Iterator[None]:
    """No progress bars of ``datasets`` inside; what was set before is set again after it."""
    were_off = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not were_off:
            enable_progress_bars()
