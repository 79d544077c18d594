"""Phases never overlap, so they add up to the stage. The clock is a number: no test waits."""

import time
from pathlib import Path

import pytest

from rlhf_compare.runs.meter import DeviceMeter, seconds_held


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def run(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock)
    return clock


def test_inner_phase_pauses_the_outer_one(clock: Clock) -> None:
    meter = DeviceMeter()
    with meter.stage(), meter.phase("update"):
        clock.run(2.0)
        with meter.phase("evaluate"):
            clock.run(4.0)
        clock.run(1.0)
    assert meter.phases == {"evaluate": 4.0, "update": 3.0}
    assert meter.total == 7.0


def test_phase_is_charged_when_its_block_raises(clock: Clock) -> None:
    meter = DeviceMeter()
    with pytest.raises(RuntimeError), meter.stage(), meter.phase("update"):
        clock.run(2.0)
        raise RuntimeError
    assert meter.phases["update"] == 2.0
    with meter.phase("save"):
        pass
    assert meter.phases["save"] == 0.0


def test_seconds_of_an_earlier_run_are_paid_by_phase_and_stage(clock: Clock) -> None:
    meter = DeviceMeter()
    with meter.stage():
        meter.charge("reference", 5.0)
        clock.run(1.0)
    assert meter.phases["reference"] == 5.0 and meter.total == 6.0


@pytest.mark.parametrize(
    ("checkpoint", "lost", "total"),
    [
        (7.0, 4.0, 10.0),  # killed 4 s after the checkpoint, which is gone on from 3 s later
        (None, 11.0, 3.0),  # killed before the first one
    ],
)
def test_what_a_kill_took_is_counted_apart(
    checkpoint: float | None, lost: float, total: float, clock: Clock, tmp_path: Path
) -> None:
    journal = tmp_path / "held.json"
    first = DeviceMeter(journal)
    with first.stage(), first.phase("update"):
        clock.run(checkpoint or 7.0)
        state = first.state()
        first.charge("reference", 100.0)  # others spent it, and no kill loses it
        clock.run(4.0)
    second = DeviceMeter(journal, seconds_held(journal))
    with second.stage():
        clock.run(3.0)
        if checkpoint is not None:
            second.restore(state)
    assert second.as_dict()["lost_to_interruptions"] == lost and second.total == total
    assert seconds_held(journal) == lost + total  # for the next one
    third = DeviceMeter(journal, seconds_held(journal))
    third.restore(state)
    assert third.lost == lost + total - 7.0


def test_a_journal_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    assert seconds_held(tmp_path / "held.json") == 0.0
    (tmp_path / "held.json").write_text("1.5")
    assert seconds_held(tmp_path / "held.json") == 1.5
    (tmp_path / "held.json").write_text("{")
    assert seconds_held(tmp_path / "held.json") == 0.0


def test_peak_memory_is_that_of_the_stage() -> None:
    meter = DeviceMeter()
    with meter.stage():
        block = bytearray(120_000_000)
        time.sleep(0.2)
        del block
    peak = meter.peak_memory_bytes
    again = DeviceMeter()
    with again.stage():
        time.sleep(0.2)
    assert peak is not None and again.peak_memory_bytes is not None
    assert peak - again.peak_memory_bytes > 60_000_000


def test_what_an_evaluation_holds_is_no_memory_of_the_training() -> None:
    meter, plain = DeviceMeter(), DeviceMeter()
    for one, phase in ((meter, "evaluate"), (plain, "update")):
        with one.stage(), one.phase(phase):
            block = bytearray(120_000_000)
            time.sleep(0.2)
            del block
    assert plain.peak_memory_bytes is not None and meter.peak_memory_bytes is not None
    assert plain.peak_memory_bytes - meter.peak_memory_bytes > 60_000_000


def test_seconds_held_leave_evaluations_out_and_add_up_over_processes(clock: Clock) -> None:
    first = DeviceMeter()
    with first.stage():
        first.charge("reference", 5.0)
        clock.run(1.0)  # in no phase
        with first.phase("update"):
            clock.run(2.0)
            with first.phase("evaluate"):
                clock.run(4.0)
                assert first.held() == 8.0
            first.count(samples=16)
            state = first.state()
            clock.run(50.0)  # of which no checkpoint knows
    second = DeviceMeter()
    with second.stage(), second.phase("evaluate"):
        second.restore(state)
        clock.run(3.0)
        assert second.held() == 8.0 and second.samples == 16
    assert second.held() == 8.0
    alone = DeviceMeter()  # of a trainer that no stage clocks
    with alone.phase("evaluate"):
        clock.run(1.0)
    with alone.phase("update"):
        clock.run(2.0)
    assert alone.held() == 2.0


def test_counts_add_up() -> None:
    meter = DeviceMeter()
    meter.count(generated=3)
    meter.count(generated=4, trained=1)
    assert meter.as_dict()["tokens"] == {"generated": 7, "trained": 1}


def test_inside_an_evaluation_everything_is_evaluation(clock: Clock) -> None:
    meter = DeviceMeter()
    with meter.phase("evaluate"):
        with meter.phase("generate"):
            clock.run(2.0)
        meter.count(generated=7)
    with meter.phase("generate"):
        clock.run(1.0)
        meter.count(generated=3)
    assert meter.phases == {"evaluate": 2.0, "generate": 1.0}
    assert meter.tokens["generated"] == 3
