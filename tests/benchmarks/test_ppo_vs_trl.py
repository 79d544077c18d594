"""What a benchmark prints is worked out from its runs; the runs themselves are no test."""

import random

import pytest
import torch
from torch import nn

from benchmarks import summary
from benchmarks.flops import flops_by_phase, forward_flops
from benchmarks.inputs import EOS, SEPARATOR, make_prompts, make_response
from benchmarks.ppo_vs_trl import parse, settings_of
from benchmarks.probe import NamedPhases, Probe, summarise
from benchmarks.settings import OURS, TRL, Settings, Shape, optimizer_steps, optimizer_steps_of_trl


def run(seconds: list[float], tokens: float = 640.0) -> summary.Run:
    return {
        "iteration_seconds": seconds,
        "phases": {"generate": sum(seconds) / len(seconds) / 2},
        "forwards": {
            "generate/policy/no_grad": {"tokens": 64},
            "update/policy/grad": {"tokens": 6},
        },
        "optimizer_steps": 4,
        "tokens": tokens,
        "memory": {"imported": 2**20, "loaded": 2 * 2**20, "peak": 5 * 2**20},
    }


def test_ratio_is_of_paired_rounds_and_a_slow_iteration_counts() -> None:
    runs = {OURS: [run([1.0, 3.0]), run([1.0, 1.0])], TRL: [run([4.0, 4.0]), run([3.0, 3.0])]}
    table = summary.compare(runs, summary.time_rows(Settings(episodes=64)))
    row = table["episodes per second"]
    assert row["median"] == {OURS: (32.0 + 64.0) / 2, TRL: (16.0 + 64 / 3) / 2}
    assert row["ratio"][OURS] == (2.5, 2.0, 3.0)
    memory = summary.compare(runs, summary.memory_rows())
    assert memory["peak memory above the loaded models, MiB"]["median"][OURS] == 3.0


def test_flops_of_a_layer_by_hand() -> None:
    """One layer, width 2, two tokens that see two positions each, vocabulary 3, one logit."""
    shape = Shape(layers=1, width=2, vocabulary=3, heads=1)
    weights = 2 * 12 * 2 * 2 * 2  # 12 w^2 multiplications a token
    attention = 2 * 2 * 2 * 4  # weight and value of 4 pairs
    head = 2 * 2 * 3
    counts = {"tokens": 2, "pairs": 4, "logits": 1}
    assert forward_flops(shape, counts) == weights + attention + head
    phases = flops_by_phase(shape, {"update/policy/grad": counts, "score/policy/no_grad": counts})
    assert phases["backward"] == 2 * phases["update"] == 2 * phases["score"]


def test_probe_counts_positions_by_phase_and_gradient() -> None:
    clock = NamedPhases()
    probe = Probe(clock, lambda: 7)
    trunk = nn.Embedding(5, 2)
    probe.watch_model("policy", trunk)
    for _ in range(2):
        with clock.phase("update"):
            trunk(torch.zeros(3, 4, dtype=torch.long))
            with torch.no_grad():
                trunk(torch.zeros(1, 4, dtype=torch.long))
        probe.on_step_end()
    result = probe.result(warmup=1)
    assert result["forwards"]["update/policy/grad"] == {"tokens": 12, "pairs": 48}
    assert result["forwards"]["update/policy/no_grad"] == {"tokens": 4, "pairs": 16}
    assert len(result["iteration_seconds"]) == 1


def test_warm_up_is_left_out_and_must_leave_something() -> None:
    with pytest.raises(ValueError, match="measure nothing"):
        summarise([{"at": 0.0}], warmup=1)


def test_steps_that_trl_really_takes() -> None:
    """Its loop: 32 x 2 in two mini-batches takes half of the steps, 64 x 1 takes all."""
    assert optimizer_steps_of_trl(32, 2, 2, 2) == 2
    assert optimizer_steps_of_trl(64, 1, 2, 2) == 4 == optimizer_steps(Settings())


def test_inputs_are_the_same_from_the_same_seed_and_end_where_they_should() -> None:
    prompts = make_prompts(random.Random(1), 2048, 50)
    assert prompts == make_prompts(random.Random(1), 2048, 50)
    assert all(p[-1] == SEPARATOR and EOS not in p and 8 <= len(p) <= 24 for p in prompts)
    response = make_response(random.Random(0), 2048, 48)
    assert response[-1] == EOS and EOS not in response[:-1]
    with pytest.raises(ValueError, match="do not fit"):
        make_response(random.Random(0), 100, 48)


def test_options_that_contradict_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert settings_of(parse(["--lora"])).shape == "small"
    assert settings_of(parse([])).responses == "spread"
    for bad in (["--rounds", "0"], ["--lora", "--roofline"]):
        with pytest.raises(SystemExit):
            parse(bad)
    assert "must be at least 1" in capsys.readouterr().err
