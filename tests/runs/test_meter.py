"""Phases never overlap, so they add up to the stage."""

import time

import pytest

from rlhf_compare.runs.meter import DeviceMeter


def test_inner_phase_pauses_the_outer_one() -> None:
    meter = DeviceMeter()
    with meter.stage(), meter.phase("update"):
        time.sleep(0.05)
        with meter.phase("evaluate"):
            time.sleep(0.1)
        time.sleep(0.05)
    assert meter.phases["evaluate"] == pytest.approx(0.1, abs=0.04)
    assert meter.phases["update"] == pytest.approx(0.1, abs=0.04)
    assert sum(meter.phases.values()) == pytest.approx(meter.total, rel=0.05)


def test_phase_is_charged_when_its_block_raises() -> None:
    meter = DeviceMeter()
    with pytest.raises(RuntimeError), meter.stage(), meter.phase("update"):
        time.sleep(0.02)
        raise RuntimeError
    assert meter.phases["update"] >= 0.02
    with meter.phase("save"):
        pass
    assert meter.phases["save"] < 0.01


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


def test_counts_add_up() -> None:
    meter = DeviceMeter()
    meter.count(generated=3)
    meter.count(generated=4, trained=1)
    assert meter.as_dict()["tokens"] == {"generated": 7, "trained": 1}


def test_inside_an_evaluation_everything_is_evaluation() -> None:
    meter = DeviceMeter()
    with meter.phase("evaluate"):
        with meter.phase("generate"):
            time.sleep(0.02)
        meter.count(generated=7)
    with meter.phase("generate"):
        meter.count(generated=3)
    assert meter.phases["evaluate"] >= 0.02 > meter.phases["generate"]
    assert meter.tokens["generated"] == 3
