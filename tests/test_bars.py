"""A bar on a terminal, plain lines in a log."""

import io
import sys

import pytest

from rlhf_compare import bars


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("rlhf_compare.bars.time.monotonic", clock)
    return clock


def test_a_log_gets_a_line_now_and_then(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    progress = bars.bar("ppo-0", 60, "step")
    for _ in range(60):
        clock.now += 2.5
        progress.set_postfix({"scores": "0.250"})
        progress.update()
    progress.close()
    shown = capsys.readouterr().err
    assert "\r" not in shown
    assert shown.splitlines() == [
        "ppo-0: 12/60 steps, 30 s, 120 s left, scores 0.250",
        "ppo-0: 24/60 steps, 60 s, 90 s left, scores 0.250",
        "ppo-0: 36/60 steps, 90 s, 60 s left, scores 0.250",
        "ppo-0: 48/60 steps, 120 s, 30 s left, scores 0.250",
        "ppo-0: 60/60 steps, 150 s, scores 0.250",  # the end, said once
    ]


def test_what_was_done_before_is_not_counted_as_speed(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = bars.bar("sft", 100, "step", initial=80)
    clock.now += 40.0
    progress.update(10)
    assert capsys.readouterr().err == "sft: 90/100 steps, 40 s, 40 s left\n"


def test_short_loops_and_hidden_ones_say_nothing(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    for shown in (bars.bar("a", 3, "row", leave=False), bars.bar("b", 3, "row", hidden=True)):
        with shown as progress:
            progress.update(3)
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", screen)
    progress = bars.bar("sft", 3, "step")
    progress.update(3)
    progress.close()
    assert "sft: 100%" in screen.getvalue()
