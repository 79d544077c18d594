"""Progress of a loop: a bar on a terminal, a plain line now and then where there is none."""

import sys
import time
from typing import Any, Protocol

from tqdm.auto import tqdm

LINE_SECONDS = 30.0  # between two lines in a log


class Bar(Protocol):
    """What a loop needs of it."""

    n: Any

    def update(self, n: float = 1) -> Any: ...
    def set_postfix(self, values: dict[str, str]) -> Any: ...
    def close(self) -> Any: ...
    def __enter__(self) -> Any: ...
    def __exit__(self, *_: Any) -> Any: ...


def bar(
    title: str,
    total: int | None,
    unit: str,
    initial: int = 0,
    delay: float = 0.0,
    leave: bool = True,
    hidden: bool = False,
) -> Bar:
    """A bar on stderr.

    Args:
        total: steps in all; None = unknown.
        initial: steps done before, by an interrupted run.
        delay: seconds in which nothing is shown, for loops that are mostly short.
        leave: whether its last state stays on the screen.
        hidden: show nothing at all.
    """
    if hidden or sys.stderr.isatty():
        shown = {"initial": initial, "delay": delay, "leave": leave, "disable": hidden}
        bar: Bar = tqdm(desc=title, total=total, unit=unit, **shown)  # type: ignore[call-overload]
        return bar
    return Lines(title, total, unit, initial, leave)


class Lines:
    """The same for a log file: carriage returns would make one giant line of it."""

    def __init__(
        self, title: str, total: int | None, unit: str, initial: int = 0, leave: bool = True
    ) -> None:
        self.n: float = initial
        self._total, self._initial = total, initial
        self._title, self._unit, self._leave = title, unit, leave
        self._start = self._said = time.monotonic()
        self._postfix, self._last = "", ""

    def update(self, n: float = 1) -> None:
        self.n += n
        if time.monotonic() - self._said >= LINE_SECONDS:
            self._say()

    def set_postfix(self, values: dict[str, str]) -> None:
        self._postfix = "".join(f", {name} {value}" for name, value in values.items())

    def close(self) -> None:
        if self._leave:
            self._say()
            self._leave = False

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _say(self) -> None:
        self._said = time.monotonic()
        seconds, made = self._said - self._start, self.n - self._initial
        of = "" if self._total is None else f"/{self._total}"
        left = ""
        if self._total is not None and made > 0 and self.n < self._total:
            left = f", {seconds / made * (self._total - self.n):.0f} s left"
        line = f"{self._title}: {self.n}{of} {self._unit}s, {seconds:.0f} s{left}{self._postfix}"
        if line != self._last:
            print(line, file=sys.stderr, flush=True)
        self._last = line
