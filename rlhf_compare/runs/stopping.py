"""Ctrl-C and SIGTERM: while a stage trains the first one waits for the end of the step."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_NOTE = b"\nstopping after this step; a second signal stops at once\n"


class StopRequest:
    """Whether somebody asked the process to stop."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """The handler: the first signal is kept, the second one ends the process."""
        if self.signal is None:
            self.signal = number
            if sys.stderr.isatty():
                os.write(2, _NOTE)  # not print: the signal may have come inside a print
            return
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        end_at_once(number, _frame)


def end_at_once(number: int, _frame: FrameType | None) -> None:
    """A handler that unwinds the process: exit code 130 or 143.

    Raises:
        KeyboardInterrupt: on SIGINT.
        SystemExit: on any other signal.
    """
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


@contextmanager
def deferred_signals() -> Iterator[StopRequest]:
    """Inside, a first Ctrl-C or SIGTERM is noted and not acted upon."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():  # only there may one listen
        yield request
        return
    before: dict[int, Any] = {each: signal.signal(each, request) for each in _SIGNALS}
    try:
        yield request
    finally:
        for each, handler in before.items():
            signal.signal(each, handler if handler is not None else signal.SIG_DFL)
