"""Phases never overlap, so they add up to the stage. The clock is a number: no test waits."""

import time

import pytest

from rlhf_compare.runs.meter import DeviceMeter


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
